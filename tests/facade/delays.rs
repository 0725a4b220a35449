//! Messages that are sent with a delay.

mod broker_restart;
mod concurrent;
mod features;
mod one_role;
mod real_time;
mod refusals;
mod virtual_time;
