//! The list of all cases, with their tiers and the features that they need.
//!
//! Each tier is a macro that passes its part of the list to another macro. The registry and the
//! generated tests therefore use the same lines. The compiler reports a case that is missing here
//! as an unused function.

mod basics;
mod failure;
mod limits;
mod routing;
mod settlement;

use crate::case::{Case, Tier};
use crate::features::Feature;

macro_rules! __registry {
    ($tier:ident; $($file:ident { $($name:ident $(needs $($feature:ident),+)?;)* })*) => {
        &[$($(Case {
            name: stringify!($name),
            tier: Tier::$tier,
            needs: &[$($(Feature::$feature),+)?],
            body: $crate::case_bodies::$file::$name,
        },)*)*]
    };
}
pub(crate) use __registry;

const TIERS: [&[Case]; 5] = [
    crate::__basics!(__registry Basics),
    crate::__settlement!(__registry Settlement),
    crate::__routing!(__registry Routing),
    crate::__limits!(__registry Limits),
    crate::__failure!(__registry Failure),
];

const COUNT: usize =
    TIERS[0].len() + TIERS[1].len() + TIERS[2].len() + TIERS[3].len() + TIERS[4].len();

pub(crate) static CASES: &[Case] = &{
    let mut cases = [TIERS[0][0]; COUNT];
    let (mut tier, mut next) = (0, 0);
    while tier < TIERS.len() {
        let mut index = 0;
        while index < TIERS[tier].len() {
            cases[next] = TIERS[tier][index];
            next += 1;
            index += 1;
        }
        tier += 1;
    }
    cases
};
