use crate::program::{Program, ProgramAction, ProgramOperation, connection_of};
use crate::specs::{PropertiesSpec, QueueName, Table};

/// Reduces a program while `fails` returns `true` for it. Removes operations, first in large groups
/// and then one by one, and simplifies the remaining ones.
pub fn shrink(program: &Program, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut smallest = program.clone();
    loop {
        let before = smallest.clone();
        remove_operations(&mut smallest, &mut fails);
        simplify_operations(&mut smallest, &mut fails);
        if smallest == before {
            return smallest;
        }
    }
}

fn remove_operations(smallest: &mut Program, fails: &mut impl FnMut(&Program) -> bool) {
    remove_items(&mut smallest.operations, |operations| {
        fails(&Program { operations: operations.to_vec() })
    });
}

/// Removes items, first in large groups and then one by one, while `fails` returns `true` for the
/// others.
pub(crate) fn remove_items<T: Clone>(items: &mut Vec<T>, mut fails: impl FnMut(&[T]) -> bool) {
    let mut size = items.len().div_ceil(2);
    while size > 0 {
        let mut end = items.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut candidate = items.clone();
            candidate.drain(start..end);
            if fails(&candidate) {
                *items = candidate;
            }
            end = start;
        }
        size /= 2;
    }
}

fn simplify_operations(smallest: &mut Program, fails: &mut impl FnMut(&Program) -> bool) {
    for index in 0..smallest.operations.len() {
        while let Some(candidate) =
            simpler(&smallest.operations[index]).into_iter().find_map(|operation| {
                let mut candidate = smallest.clone();
                candidate.operations[index] = operation;
                fails(&candidate).then_some(candidate)
            })
        {
            *smallest = candidate;
        }
    }
}

/// Returns operations that are simpler in one respect.
fn simpler(operation: &ProgramOperation) -> Vec<ProgramOperation> {
    let mut candidates = Vec::new();
    if operation.channel != 0 {
        candidates.push(ProgramOperation { channel: 0, ..operation.clone() });
        if connection_of(operation.channel) == 0 && operation.channel != 1 {
            candidates.push(ProgramOperation { channel: 1, ..operation.clone() });
        }
    }
    if operation.even_if_failed {
        candidates.push(ProgramOperation { even_if_failed: false, ..operation.clone() });
    }
    let actions = simpler_actions(&operation.action);
    candidates
        .extend(actions.into_iter().map(|action| ProgramOperation { action, ..operation.clone() }));
    candidates
}

fn simpler_actions(action: &ProgramAction) -> Vec<ProgramAction> {
    let mut actions = Vec::new();
    macro_rules! simpler_spec {
        ($wrap:expr, $spec:expr, $($field:ident),*) => {$(
            let mut simpler_spec = $spec.clone();
            simpler_spec.$field = Default::default();
            if simpler_spec != *$spec {
                actions.push($wrap(simpler_spec));
            }
        )*};
    }
    match action {
        ProgramAction::DeclareExchange(spec) => {
            simpler_spec!(
                ProgramAction::DeclareExchange,
                spec,
                transient,
                auto_delete,
                internal,
                passive
            );
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(ProgramAction::DeclareExchange(spec));
            });
        }
        ProgramAction::DeclareQueue(spec) => {
            simpler_spec!(
                ProgramAction::DeclareQueue,
                spec,
                transient,
                exclusive,
                auto_delete,
                passive
            );
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(ProgramAction::DeclareQueue(spec));
            });
        }
        ProgramAction::Bind(spec) => shorter(&spec.arguments, |arguments| {
            let mut spec = spec.clone();
            spec.arguments = arguments;
            actions.push(ProgramAction::Bind(spec));
        }),
        ProgramAction::Publish(spec) => {
            simpler_spec!(ProgramAction::Publish, spec, mandatory, confirm_later, padding);
            let properties = &spec.properties;
            let mut with = |properties: PropertiesSpec| {
                let mut spec = spec.clone();
                spec.properties = properties;
                actions.push(ProgramAction::Publish(spec));
            };
            macro_rules! without {
                ($($field:ident),*) => {$(
                    let mut simpler_spec = properties.clone();
                    simpler_spec.$field = Default::default();
                    if simpler_spec != *properties {
                        with(simpler_spec);
                    }
                )*};
            }
            without!(
                expiration,
                priority,
                delivery_mode,
                headers,
                user_id,
                descriptive,
                reply_here
            );
            shorter(properties.headers.as_ref().unwrap_or(&Table::new()), |headers| {
                with(PropertiesSpec { headers: Some(headers), ..properties.clone() });
            });
        }
        ProgramAction::Consume(spec) => {
            simpler_spec!(ProgramAction::Consume, spec, prefetch, automatic, exclusive, lazy);
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(ProgramAction::Consume(spec));
            });
        }
        ProgramAction::DeleteQueue { name, if_unused, if_empty } if *if_unused || *if_empty => {
            actions.push(ProgramAction::DeleteQueue {
                name: name.clone(),
                if_unused: false,
                if_empty: false,
            });
        }
        ProgramAction::DeleteExchange { name, if_unused: true } => {
            actions.push(ProgramAction::DeleteExchange { name: name.clone(), if_unused: false })
        }
        ProgramAction::Ack { delivery, multiple: true } => {
            actions.push(ProgramAction::Ack { delivery: *delivery, multiple: false })
        }
        ProgramAction::Reject { delivery, requeue, failed, multiple: true } => {
            actions.push(ProgramAction::Reject {
                delivery: *delivery,
                requeue: *requeue,
                failed: *failed,
                multiple: false,
            });
        }
        ProgramAction::Get { queue: QueueName::Slot(slot), automatic: true } => {
            actions.push(ProgramAction::Get { queue: QueueName::Slot(*slot), automatic: false });
        }
        _ => {}
    }
    actions
}

fn shorter(table: &Table, mut each: impl FnMut(Table)) {
    for index in 0..table.len() {
        let mut shorter = table.clone();
        shorter.remove(index);
        each(shorter);
    }
}
