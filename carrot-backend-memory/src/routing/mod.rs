//! Where a message goes, with RabbitMQ's rules and errors. The crate `carrot-routing` searches the
//! bindings.

pub(crate) mod kept_routes;
pub(crate) mod route;
pub(crate) mod topology;
