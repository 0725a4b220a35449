//! The cases, in a file for each group of behaviours. [`list`](crate::list) assigns the cases to
//! tiers.

pub(crate) mod alarms;
pub(crate) mod arguments;
pub(crate) mod bindings;
pub(crate) mod closing;
pub(crate) mod connections;
pub(crate) mod consuming;
pub(crate) mod contents;
pub(crate) mod dead_letters;
pub(crate) mod delayed_publish;
pub(crate) mod direct_and_fanout;
pub(crate) mod exchanges;
pub(crate) mod exclusive_queues;
pub(crate) mod failed_channels;
pub(crate) mod getting;
pub(crate) mod headers;
pub(crate) mod large;
pub(crate) mod lengths;
pub(crate) mod order;
pub(crate) mod prefetch;
pub(crate) mod priorities;
pub(crate) mod publishing;
pub(crate) mod queue_life;
pub(crate) mod queues;
pub(crate) mod quorum_queues;
pub(crate) mod reply_to;
pub(crate) mod restarts;
pub(crate) mod returns;
pub(crate) mod sender_selected;
pub(crate) mod sharing;
pub(crate) mod tags;
pub(crate) mod time_to_live;
pub(crate) mod topic;
