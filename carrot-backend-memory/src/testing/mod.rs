//! Means of tests beyond the contract: inject failures, look inside, and record.

pub(crate) mod counts;
pub(crate) mod faults;
pub(crate) mod inspect;
pub(crate) mod recording;
