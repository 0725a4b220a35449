//! `carrot topology`, `declare`, `delete`, `bind` and `unbind`.

use crate::support::{TestBroker, on_each_broker};

on_each_broker! {
    topology_of_each_form_is_applied_and_checked
    named_queues_are_exported_by_name
    bindings_are_added_and_deleted
    deletion_can_have_conditions
}

fn topology_of_each_form_is_applied_and_checked(broker: &TestBroker) {
    let folder = tempfile::tempdir().unwrap();
    let (exchange, queue) = (broker.name(), broker.name());
    let toml = format!(
        "[[exchanges]]\nname = \"{exchange}\"\ntype = \"topic\"\n\n\
         [[queues]]\nname = \"{queue}\"\narguments = {{ x-max-length = 9 }}\n\n\
         [[bindings]]\nsource = \"{exchange}\"\ndestination = {{ queue = \"{queue}\" }}\nrouting_key = \"a.#\"\n"
    );
    let own = format!(
        r#"{{"exchanges":[{{"name":"{exchange}","type":"topic"}}],
            "queues":[{{"name":"{queue}","arguments":{{"x-max-length":9}}}}],
            "bindings":[{{"source":"{exchange}","destination":{{"queue":"{queue}"}},"routing_key":"a.#"}}]}}"#
    );
    let export = format!(
        r#"{{"rabbit_version":"3.10.8",
            "exchanges":[{{"name":"{exchange}","vhost":"/","type":"topic","durable":true,"auto_delete":false,"internal":false,"arguments":{{}}}}],
            "queues":[{{"name":"{queue}","vhost":"/","durable":true,"auto_delete":false,"arguments":{{"x-max-length":9}}}}],
            "bindings":[{{"source":"{exchange}","vhost":"/","destination":"{queue}","destination_type":"queue","routing_key":"a.#","arguments":{{}}}}]}}"#
    );
    for (name, text) in [("t.toml", toml), ("t.json", own), ("definitions.json", export)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let ran = broker.run(&["topology", "check", path], "");
        assert_eq!(ran.code, 5, "{name}: {ran:?}");
        assert!(ran.output.contains(&queue) && ran.output.contains("missing"), "{name}: {ran:?}");
        broker.ok(&["topology", "apply", path]);
        broker.ok(&["topology", "apply", path]);
        assert_eq!(broker.ok(&["topology", "check", path]), "no differences\n");
        broker.ok(&["publish", "-e", &exchange, "-k", "a.b", "body"]);
        broker.ok(&["consume", &queue, "-n", "1"]);
        broker.ok(&["delete", "queue", &queue]);
        broker.ok(&["declare", "queue", &queue, "--argument", "x-max-length:=8"]);
        let ran = broker.run(&["topology", "check", path, "--json"], "");
        assert_eq!(ran.code, 5, "{name}: {ran:?}");
        assert!(ran.output.contains("x-max-length"), "{name}: {ran:?}");
        broker.ok(&["delete", "queue", &queue]);
        broker.ok(&["delete", "exchange", &exchange]);
    }
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "[[queues]]\nnam = \"q\"\n").unwrap();
    let ran = broker.run(&["topology", "apply", broken.to_str().unwrap()], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("broken.toml") && ran.errors.contains("nam"), "{ran:?}");
}

fn named_queues_are_exported_by_name(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let ran = broker.run(&["topology", "export", &queue], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.output, format!("[[queues]]\nname = \"{queue}\"\n"));
    assert!(ran.errors.contains("no arguments and no bindings"), "{ran:?}");
    assert_eq!(broker.run(&["topology", "export", &broker.name()], "").code, 5);
    let ran = broker.run(&["topology", "export", &queue, "--format", "definitions"], "");
    assert_eq!(ran.code, 2, "{ran:?}");
}

fn bindings_are_added_and_deleted(broker: &TestBroker) {
    let (exchange, inner, queue) = (broker.name(), broker.name(), broker.queue(&[]));
    broker.ok(&["declare", "exchange", &exchange, "--type", "topic"]);
    broker.ok(&["declare", "exchange", &inner, "--type", "fanout"]);
    broker.ok(&["bind", &exchange, &inner, "--to-exchange", "-k", "*.new"]);
    broker.ok(&["bind", &inner, &queue]);
    broker.ok(&["publish", "-e", &exchange, "-k", "orders.new", "body"]);
    assert_eq!(broker.ready(&queue), 1);
    broker.ok(&["unbind", &exchange, &inner, "--to-exchange", "-k", "*.new"]);
    assert_eq!(broker.run(&["publish", "-e", &exchange, "-k", "orders.new", "body"], "").code, 6);
    broker.ok(&["delete", "exchange", &exchange]);
    broker.ok(&["delete", "exchange", &inner]);
}

fn deletion_can_have_conditions(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "body"]);
    let ran = broker.run(&["delete", "queue", &queue, "--if-empty"], "");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(broker.ready(&queue), 1);
    let ran = broker.run(&["delete", "queue", &queue], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.errors.contains("held 1 ready"), "{ran:?}");
}
