//! Declarations and deletions of exchanges and bindings.

use carrot_core::backend::{DeleteIf, Deleted, QueueInfo};
use carrot_core::{Binding, Destination, Exchange, Result};
use carrot_link::CallDeadline;
use carrot_routing::RoutedQueue;

use crate::channel::channel_core::ChannelCore;
use crate::channel::exchange_checks::{
    access, check_binding, check_ends, check_exchange, default_exchange, is_equal, no_exchange,
    precondition, routing_error,
};
use crate::channel::queues::{self, no_queue, without_line_breaks};
use crate::connection::table_change::TableChange;
use crate::content::queue_name;
use crate::exchanges::routing_definitions::RoutingDefinitions;
use crate::wire::destination::DestinationKind;

impl ChannelCore {
    pub(crate) fn declare_exchange(
        &self,
        exchange: &Exchange,
        deadline: CallDeadline,
    ) -> Result<QueueInfo> {
        self.check()?;
        let mut exchange = exchange.clone();
        exchange.name = without_line_breaks(&exchange.name);
        let name = exchange.name.clone();
        self.declared(self.try_declare_exchange(exchange, deadline))?;
        Ok(QueueInfo::new(name, 0, 0))
    }

    fn try_declare_exchange(&self, exchange: Exchange, deadline: CallDeadline) -> Result<()> {
        if exchange.name.is_empty() {
            return Err(default_exchange());
        }
        if !exchange.passive {
            check_exchange(&exchange)?;
        }
        let table = self.link.table.fresh_table("declare", deadline)?;
        let name = &*exchange.name;
        if exchange.passive {
            return table.routing.exchange(name).map(drop).ok_or_else(|| no_exchange(name));
        }
        if !is_equal(&table, &exchange)? {
            if name.starts_with("amq.") {
                return Err(access(&format!("exchange name '{name}' contains a reserved prefix")));
            }
            self.change_table("declare", deadline, |table| {
                if is_equal(table, &exchange)? {
                    return Ok(TableChange::Unchanged);
                }
                table.add_exchange(exchange.clone());
                Ok(TableChange::Changed)
            })?;
        }
        Ok(())
    }

    pub(crate) fn delete_exchange(
        &self,
        name: &str,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<Deleted> {
        self.check()?;
        self.declared(self.try_delete_exchange(name, condition, deadline))?;
        Ok(Deleted::default())
    }

    fn try_delete_exchange(
        &self,
        name: &str,
        condition: DeleteIf,
        deadline: CallDeadline,
    ) -> Result<()> {
        if name.is_empty() {
            return Err(default_exchange());
        }
        if name.starts_with("amq.") {
            return Err(access(&format!("deletion of system exchange '{name}' not allowed")));
        }
        self.change_if(
            "delete",
            deadline,
            |table| {
                let Some(exchange) = table.routing.exchange(name) else {
                    return Ok(TableChange::Unchanged);
                };
                if condition.if_unused && exchange.has_bindings() {
                    return Err(precondition(&format!("exchange '{name}' in use")));
                }
                table.routing.remove_exchange(name);
                Ok(TableChange::Changed)
            },
            |table| table.routing.exchange(name).is_some(),
        )
    }

    pub(crate) fn bind(&self, binding: &Binding, deadline: CallDeadline) -> Result<QueueInfo> {
        self.check()?;
        self.declared(self.try_bind(resolved(binding), deadline))?;
        Ok(QueueInfo::new("", 0, 0))
    }

    fn try_bind(&self, binding: Binding, deadline: CallDeadline) -> Result<()> {
        check_ends(&binding)?;
        let table = self.link.table.fresh_table("declare", deadline)?;
        self.check_target(&binding)?;
        check_binding(&table, &binding)?;
        if table.routing.has_binding(&binding) {
            return Ok(());
        }
        self.change_table("declare", deadline, |table| {
            check_binding(table, &binding)?;
            if table.routing.has_binding(&binding) {
                return Ok(TableChange::Unchanged);
            }
            table.routing.bind_named(&binding).map_err(routing_error)?;
            Ok(TableChange::Changed)
        })?;
        Ok(())
    }

    /// Fails if the queue of a binding does not exist.
    fn check_target(&self, binding: &Binding) -> Result<()> {
        let Destination::Queue(name) = &binding.destination else { return Ok(()) };
        let queue = queue_name::destination(name.as_bytes());
        match queues::is_known(&self.link, &queue) {
            true => Ok(()),
            false => Err(no_queue(name)),
        }
    }

    pub(crate) fn unbind(&self, binding: &Binding, deadline: CallDeadline) -> Result<Deleted> {
        self.check()?;
        let binding = resolved(binding);
        let unbound = check_ends(&binding).and_then(|()| {
            self.change_if(
                "delete",
                deadline,
                |table| {
                    Ok(match table.routing.unbind(&binding) {
                        true => TableChange::Changed,
                        false => TableChange::Unchanged,
                    })
                },
                |table| table.routing.has_binding(&binding),
            )
        });
        self.declared(unbound)?;
        Ok(Deleted::default())
    }

    /// Changes the table for all connections of this connector. Removes the bindings of temporary
    /// queues that no longer exist.
    pub(crate) fn change_table(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
        mut apply: impl FnMut(&mut RoutingDefinitions) -> Result<TableChange>,
    ) -> Result<()> {
        let changed = self.link.table.change(operation, deadline, |table| {
            self.remove_lost_queues(table);
            apply(table)
        })?;
        self.family.note_table(&changed);
        Ok(())
    }

    fn remove_lost_queues(&self, table: &mut RoutingDefinitions) {
        let is_lost = |name: &str| {
            let queue = queue_name::destination(name.as_bytes());
            queue.kind == DestinationKind::TemporaryQueue && !queues::is_known(&self.link, &queue)
        };
        let names = table.routing.queues().map(|queue| queue.name().to_string());
        let lost: Vec<String> = names.filter(|name| is_lost(name)).collect();
        lost.iter().for_each(|name| table.forget_queue(name));
    }

    /// Changes the table if `is_needed` says so of the fresh one.
    pub(crate) fn change_if(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
        apply: impl FnMut(&mut RoutingDefinitions) -> Result<TableChange>,
        is_needed: impl FnOnce(&RoutingDefinitions) -> bool,
    ) -> Result<()> {
        let table = self.link.table.fresh_table(operation, deadline)?;
        if is_needed(&table) {
            self.change_table(operation, deadline, apply)?;
        }
        Ok(())
    }

    /// Returns the result of a declaration. An error ends the channel, unless nothing was sent.
    pub(crate) fn declared<T>(&self, result: Result<T>) -> Result<T> {
        self.checked(result).map_err(|error| self.ended_by(error))
    }
}

/// Returns a binding as it is stored.
fn resolved(binding: &Binding) -> Binding {
    let mut binding = binding.clone();
    binding.source = without_line_breaks(&binding.source);
    let (Destination::Queue(target) | Destination::Exchange(target)) = &mut binding.destination;
    *target = without_line_breaks(target);
    binding
}
