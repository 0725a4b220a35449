//! Messages that are sent with a delay.

mod broker_restart;
mod features;
mod real_time;
mod refusals;
mod virtual_time;
