//! The virtual hosts of the threads of a series.

use std::process::Command;

use carrot_core::ConnectionOptions;

use crate::broker::DefaultQueueType;
use crate::compare::prefix;

/// Creates a virtual host for each thread. Threads therefore share no predeclared entities. Without
/// `rabbitmqctl`, returns the options as they are.
pub(crate) fn virtual_hosts(
    options: &ConnectionOptions,
    rabbitmqctl: Option<&str>,
    threads: usize,
    default_type: DefaultQueueType,
) -> Vec<ConnectionOptions> {
    let Some(rabbitmqctl) = rabbitmqctl else { return vec![options.clone()] };
    let prefix = prefix();
    let names: Vec<String> =
        (0..threads.max(1)).map(|thread| format!("{prefix}{thread}")).collect();
    let list: Vec<String> = names.iter().map(|name| format!("<<\"{name}\">>")).collect();
    let settings = match default_type {
        DefaultQueueType::Classic => "",
        DefaultQueueType::Quorum => "#{default_queue_type => <<\"quorum\">>}, ",
    };
    let code = format!(
        "[begin rabbit_vhost:add(V, {settings}<<\"differential\">>), rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, \
         <<\".*\">>, <<\".*\">>, <<\"differential\">>) end || V <- [{}]].",
        list.join(", ")
    );
    let created = Command::new(rabbitmqctl).args(["eval", &code]).output();
    assert!(
        created.as_ref().is_ok_and(|output| output.status.success()),
        "cannot create virtual hosts: {created:?}"
    );
    names.into_iter().map(|name| options.clone().vhost(name)).collect()
}
