use crate::program::{Action, Operation, Program, PropertiesSpec, QueueName, Table, connection_of};

/// Makes a program smaller as long as `fails` holds of it: takes operations away, in large parts and then one by one, and then makes
/// each that is left plainer.
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
    let mut size = smallest.operations.len().div_ceil(2);
    while size > 0 {
        let mut end = smallest.operations.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut candidate = smallest.clone();
            candidate.operations.drain(start..end);
            if fails(&candidate) {
                *smallest = candidate;
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

/// Operations that are plainer in one respect.
fn simpler(operation: &Operation) -> Vec<Operation> {
    let mut candidates = Vec::new();
    if operation.channel != 0 {
        candidates.push(Operation { channel: 0, ..operation.clone() });
        if connection_of(operation.channel) == 0 && operation.channel != 1 {
            candidates.push(Operation { channel: 1, ..operation.clone() });
        }
    }
    if operation.even_if_dead {
        candidates.push(Operation { even_if_dead: false, ..operation.clone() });
    }
    let actions = simpler_actions(&operation.action);
    candidates.extend(actions.into_iter().map(|action| Operation { action, ..operation.clone() }));
    candidates
}

fn simpler_actions(action: &Action) -> Vec<Action> {
    let mut actions = Vec::new();
    macro_rules! plainer {
        ($wrap:expr, $spec:expr, $($field:ident),*) => {$(
            let mut plainer = $spec.clone();
            plainer.$field = Default::default();
            if plainer != *$spec {
                actions.push($wrap(plainer));
            }
        )*};
    }
    match action {
        Action::DeclareExchange(spec) => {
            plainer!(Action::DeclareExchange, spec, transient, auto_delete, internal, passive);
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(Action::DeclareExchange(spec));
            });
        }
        Action::DeclareQueue(spec) => {
            plainer!(Action::DeclareQueue, spec, transient, exclusive, auto_delete, passive);
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(Action::DeclareQueue(spec));
            });
        }
        Action::Bind(spec) => shorter(&spec.arguments, |arguments| {
            let mut spec = spec.clone();
            spec.arguments = arguments;
            actions.push(Action::Bind(spec));
        }),
        Action::Publish(spec) => {
            plainer!(Action::Publish, spec, mandatory, confirm_later, padding);
            let properties = &spec.properties;
            let mut with = |properties: PropertiesSpec| {
                let mut spec = spec.clone();
                spec.properties = properties;
                actions.push(Action::Publish(spec));
            };
            macro_rules! without {
                ($($field:ident),*) => {$(
                    let mut plainer = properties.clone();
                    plainer.$field = Default::default();
                    if plainer != *properties {
                        with(plainer);
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
                answer_here
            );
            shorter(properties.headers.as_ref().unwrap_or(&Table::new()), |headers| {
                with(PropertiesSpec { headers: Some(headers), ..properties.clone() });
            });
        }
        Action::Consume(spec) => {
            plainer!(Action::Consume, spec, prefetch, automatic, exclusive, lazy);
            shorter(&spec.arguments, |arguments| {
                let mut spec = spec.clone();
                spec.arguments = arguments;
                actions.push(Action::Consume(spec));
            });
        }
        Action::DeleteQueue { name, if_unused, if_empty } if *if_unused || *if_empty => {
            actions.push(Action::DeleteQueue {
                name: name.clone(),
                if_unused: false,
                if_empty: false,
            });
        }
        Action::DeleteExchange { name, if_unused: true } => {
            actions.push(Action::DeleteExchange { name: name.clone(), if_unused: false })
        }
        Action::Ack { delivery, multiple: true } => {
            actions.push(Action::Ack { delivery: *delivery, multiple: false })
        }
        Action::Reject { delivery, requeue, multiple: true } => {
            actions.push(Action::Reject {
                delivery: *delivery,
                requeue: *requeue,
                multiple: false,
            });
        }
        Action::Get { queue: QueueName::Slot(slot), automatic: true } => {
            actions.push(Action::Get { queue: QueueName::Slot(*slot), automatic: false });
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
