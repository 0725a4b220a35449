/// Generates a `#[test]` for every case, or for every case of the named tiers.
///
/// The first argument is an expression that creates a [`Harness`](crate::Harness). Each test
/// evaluates the expression once. A broker in the process therefore needs a `static`, unless each
/// test may have a broker of its own. Tiers may follow. Defaults to all tiers.
///
/// The tests of a tier are in a module of its name. The test `unsupported_cases_are_reported` runs
/// last. The test prints the numbers of passed, failed and unsupported cases, and the name of each
/// unsupported case.
///
/// Start with `ignored:` and a reason if the tests need an environment that is not always
/// available. Every test then has the attribute `#[ignore = "the reason"]`. Run these tests with
/// `cargo test -- --ignored`.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use carrot_conformance::{Features, Harness};
/// # struct MyHarness;
/// # impl Harness for MyHarness {
/// #     fn name(&self) -> &str { "mine" }
/// #     fn features(&self) -> Features { Features::none() }
/// #     fn connect(&self) -> Arc<dyn carrot::backend::Connector> { unimplemented!() }
/// #     fn pass(&self, duration: Duration) { std::thread::sleep(duration) }
/// # }
/// mod smallest_tier {
///     use super::*;
///     carrot_conformance::conformance_tests!(MyHarness, Basics);
/// }
///
/// mod with_a_broker {
///     use super::*;
///     carrot_conformance::conformance_tests!(
///         ignored: "needs a broker",
///         MyHarness, Basics, Settlement, Routing
///     );
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance_tests {
    (ignored: $reason:literal, $harness:expr $(,)?) => {
        $crate::conformance_tests! { ignored: $reason, $harness, Basics, Settlement, Routing, Limits, Failure }
    };
    (ignored: $reason:literal, $harness:expr, $($tier:ident),+ $(,)?) => {
        $crate::__conformance_tests! { [#[ignore = $reason]] $harness, $($tier)+ }
    };
    ($harness:expr $(,)?) => {
        $crate::conformance_tests! { $harness, Basics, Settlement, Routing, Limits, Failure }
    };
    ($harness:expr, $($tier:ident),+ $(,)?) => {
        $crate::__conformance_tests! { [] $harness, $($tier)+ }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (@summary [$($attribute:tt)*] $harness:expr, $($tier:ident)+) => {
        static CONFORMANCE_TALLY: $crate::Tally = $crate::Tally::new();

        #[test]
        $($attribute)*
        fn unsupported_cases_are_reported() {
            CONFORMANCE_TALLY.report(&$harness, &[$($crate::Tier::$tier),+]);
        }
    };
    (@tier Basics $attributes:tt $harness:expr) => { mod basics { $crate::__basics! { __conformance_test $attributes $harness } } };
    (@tier Settlement $attributes:tt $harness:expr) => { mod settlement { $crate::__settlement! { __conformance_test $attributes $harness } } };
    (@tier Routing $attributes:tt $harness:expr) => { mod routing { $crate::__routing! { __conformance_test $attributes $harness } } };
    (@tier Limits $attributes:tt $harness:expr) => { mod limits { $crate::__limits! { __conformance_test $attributes $harness } } };
    (@tier Failure $attributes:tt $harness:expr) => { mod failure { $crate::__failure! { __conformance_test $attributes $harness } } };
    ($attributes:tt $harness:expr, $($tier:ident)+) => {
        $crate::__conformance_tests! { @summary $attributes $harness, $($tier)+ }
        $($crate::__conformance_tests! { @tier $tier $attributes $harness })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    (@each $attributes:tt $harness:expr, $($name:ident)*) => {
        $($crate::__conformance_test! { @one $attributes $harness, $name })*
    };
    (@one [$($attribute:tt)*] $harness:expr, $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            CONFORMANCE_TALLY.run(&$harness, stringify!($name));
        }
    };
    ($attributes:tt $harness:expr; $($file:ident { $($name:ident $(needs $($feature:ident),+)?;)* })*) => {
        #[allow(unused_imports)]
        use super::*;
        $($crate::__conformance_test! { @each $attributes $harness, $($name)* })*
    };
}
