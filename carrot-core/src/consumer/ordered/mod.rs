//! Workers that handle the messages of one key in order.
//!
//! | file | holds |
//! |---|---|
//! | `key_queues.rs` | the messages of each key, and which of them is next; pure |
//! | `keyed_messages.rs` | these messages, shared by the threads of a run |
//! | `workers.rs` | the thread that receives, and the workers |
//! | `builder.rs` | the definition of the workers |

pub(crate) mod builder;
mod key_queues;
mod keyed_messages;
mod workers;
