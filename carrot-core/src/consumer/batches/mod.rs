//! Messages in batches.
//!
//! | file | holds |
//! |---|---|
//! | `limits.rs` | the size of a batch, and the time in which it is collected |
//! | `collect.rs` | collects the messages of a batch |
//! | `batch.rs` | [`Batch`](batch::Batch): several messages, settled as one |
//! | `iter.rs` | the batches of a consumer, one by one |
//! | `acknowledge.rs` | acknowledges several messages at once |
//! | `settlement.rs` | the result of a handler of batches |
//! | `treat.rs` | handles a batch, and settles its messages |
//! | `builder.rs` | the definition of workers that handle batches |

mod acknowledge;
pub(crate) mod batch;
pub(crate) mod builder;
mod collect;
pub(crate) mod iter;
mod limits;
pub(crate) mod settlement;
mod treat;

pub(crate) use limits::BatchLimits;
