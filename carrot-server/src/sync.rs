//! Locks that survive a panic of their holder.

pub(crate) use carrot_listener::lock;
