//! The commands, one in each module.

pub(crate) mod bench;
pub(crate) mod bind;
pub(crate) mod completions;
pub(crate) mod consume;
pub(crate) mod count;
pub(crate) mod declare;
pub(crate) mod delete;
pub(crate) mod doctor;
mod held_messages;
pub(crate) mod list;
mod losses;
mod move_back;
pub(crate) mod move_messages;
mod move_result;
mod moving;
pub(crate) mod peek;
mod printed_message;
pub(crate) mod publish;
pub(crate) mod purge;
pub(crate) mod rpc;
pub(crate) mod serve;
mod served_control;
pub(crate) mod top;
pub(crate) mod topology;
mod topology_check;
mod topology_export;
mod topology_lists;
