//! The content of a message, which is delivered unchanged.

use crate::support::*;

pub(crate) fn a_delivery_carries_exchange_routing_key_and_body(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["hello"]);
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(*delivery.content, Content::new("", &*queue, "hello"));
}

pub(crate) fn an_empty_body_survives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, [""]);
    assert_eq!(fixture.channel.get_delivery(&queue).content.body, b"");
}

pub(crate) fn an_empty_body_is_delivered_unchanged(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    fixture.channel.enqueue(&queue, ["", "not empty"]);
    subscription.expect("");
    subscription.expect("not empty");
}

pub(crate) fn a_binary_body_survives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    fixture.channel.send_content(Content::new("", &*queue, bytes.clone()));
    assert_eq!(fixture.channel.get_delivery(&queue).content.body, bytes);
}

pub(crate) fn a_body_larger_than_a_frame_survives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|index| (index % 251) as u8).collect();
    fixture.channel.send_content(Content::new("", &*queue, bytes.clone()));
    assert!(fixture.channel.get_delivery(&queue).content.body == bytes, "the body changed");
}

pub(crate) fn properties_survive(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new()
        .with_content_type("application/json")
        .with_content_encoding("utf-8")
        .with_message_id("message-1")
        .with_correlation_id("request-1")
        .with_reply_to("answers")
        .with_expiration("3600000")
        .with_kind("order")
        .with_app_id("shop")
        .with_cluster_id("cluster")
        .with_timestamp(1_700_000_000)
        .with_delivery_mode(DeliveryMode::Persistent)
        .with_priority(7)
        .with_header("attempt", 1);
    fixture.channel.enqueue_with(&queue, "x", properties.clone());
    assert_eq!(fixture.channel.get_delivery(&queue).content.properties, properties);
}

pub(crate) fn properties_are_delivered_unchanged(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    let properties = Properties::new()
        .with_content_type("text/plain")
        .with_priority(1)
        .with_header("name", "value");
    fixture.channel.enqueue_with(&queue, "x", properties.clone());
    let delivery = subscription.next_delivery();
    assert_eq!(*delivery.content, Content::new("", &*queue, "x").with_properties(properties));
}

pub(crate) fn properties_that_are_not_set_stay_unset(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!(delivery.content.properties, Properties::new());
    assert_eq!(delivery.content.properties.headers(), None);
}

pub(crate) fn empty_strings_in_properties_stay_set(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties =
        Properties::new().with_content_type("").with_correlation_id("").with_app_id("");
    fixture.channel.enqueue_with(&queue, "x", properties.clone());
    assert_eq!(fixture.channel.get_delivery(&queue).content.properties, properties);
}

pub(crate) fn a_transient_message_stays_transient(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new().with_delivery_mode(DeliveryMode::Transient);
    fixture.channel.enqueue_with(&queue, "x", properties.clone());
    assert_eq!(fixture.channel.get_delivery(&queue).content.properties, properties);
}

pub(crate) fn headers_of_every_type_survive(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let headers = Headers::from([
        ("void", Value::Void),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("i8", Value::I8(-8)),
        ("u8", Value::U8(200)),
        ("i16", Value::I16(i16::MIN)),
        ("u16", Value::U16(u16::MAX)),
        ("i32", Value::I32(i32::MIN)),
        ("u32", Value::U32(u32::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("f32", Value::F32(1.5)),
        ("f64", Value::F64(-0.1)),
        ("decimal", Value::Decimal { scale: 2, value: 314 }),
        ("string", Value::from("text")),
        ("empty string", Value::from("")),
        ("bytes", Value::from(vec![0_u8, 255, 10])),
        ("timestamp", Value::Timestamp(1_700_000_000)),
        ("array", Value::from(vec![Value::from(1), Value::from("two"), Value::Void])),
        (
            "table",
            Value::from(Headers::from([("inner", Value::from(Headers::from([("deep", 3)])))])),
        ),
    ]);
    for (name, value) in headers.iter() {
        let one = Headers::from([(name, value.clone())]);
        fixture.channel.enqueue_with(&queue, name, Properties::new().with_headers(one.clone()));
        assert_eq!(fixture.channel.get_delivery(&queue).content.properties.headers(), Some(&one));
    }
}

pub(crate) fn a_string_of_more_than_255_bytes_in_a_property_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let long = "p".repeat(256);
    for properties in [
        Properties::new().with_content_type(&*long),
        Properties::new().with_correlation_id(&*long),
        Properties::new().with_header(&*long, 1),
    ] {
        let content =
            std::sync::Arc::new(Content::new("", &*queue, "x").with_properties(properties));
        assert_error!(
            fixture.channel.publish(&Publication::new(&content), DEADLINE),
            Error::Invalid { .. }
        );
    }
    fixture.channel.expect_empty(&queue);
}
