//! Five programs on Carrot, as its users write them. Each module is one program; `src/bin` has its
//! `main`.
//!
//! The modules take a [`carrot::Connection`], so that tests run them on the memory broker. The
//! paragraphs below a comment that begins with "Plumbing:" are no business of the program:
//! connecting, retries, shutdown, metrics, topology. A test counts their lines.

pub mod chores;
pub mod order_worker;
pub mod price_converter;
pub mod rates;
pub mod web_hooks;
