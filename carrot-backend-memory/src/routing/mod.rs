//! Where a message goes: exchanges, bindings, and the queues that they lead to.

pub(crate) mod exchange;
pub(crate) mod headers;
pub(crate) mod kept_routes;
pub(crate) mod name_map;
pub(crate) mod route;
pub(crate) mod topic;
pub(crate) mod topology;
