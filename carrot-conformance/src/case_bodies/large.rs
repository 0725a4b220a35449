//! Large bodies and large header tables.

use std::sync::Arc;

use crate::support::*;

pub(crate) fn a_body_of_sixteen_mebibytes_survives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let bytes: Vec<u8> = (0..16 * 1024 * 1024_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fixture.channel.send_content(Content::new("", &*queue, bytes.clone()));
    assert!(fixture.channel.get_delivery(&queue).content.body == bytes, "the body changed");
}

pub(crate) fn a_header_table_larger_than_a_frame_is_refused_as_invalid_or_delivered(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = Content::new("", &*queue, "x")
        .with_properties(Properties::new().with_header("large", "h".repeat(300_000).as_str()));
    match fixture.channel.publish(&Publication::new(&Arc::new(content.clone())), DEADLINE) {
        Ok(tag) => {
            assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
            assert!(*fixture.channel.get_delivery(&queue).content == content, "the header changed");
        }
        Err(error) => assert!(matches!(error, Error::Invalid { .. }), "publish returned {error:?}"),
    }
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_header_table_nested_too_deep_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let mut headers = Headers::from([("leaf", 1)]);
    for _ in 0..100 {
        headers = Headers::from([("inner", headers)]);
    }
    let content = Arc::new(
        Content::new("", &*queue, "x").with_properties(Properties::new().with_headers(headers)),
    );
    assert_error!(
        fixture.channel.publish(&Publication::new(&content), DEADLINE),
        Error::Invalid { .. }
    );
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_header_that_is_not_finite_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for number in [
        Value::F64(f64::NAN),
        Value::F64(f64::INFINITY),
        Value::F32(f32::NAN),
        Value::F32(f32::NEG_INFINITY),
    ] {
        for value in
            [number.clone(), vec![number.clone()].into(), Headers::from([("inner", number)]).into()]
        {
            let content = Arc::new(
                Content::new("", &*queue, "x")
                    .with_properties(Properties::new().with_header("ratio", value)),
            );
            assert_error!(
                fixture.channel.publish(&Publication::new(&content), DEADLINE),
                Error::Invalid { .. }
            );
        }
    }
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_header_table_of_a_thousand_entries_survives(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let headers: Headers =
        (0..1000_i64).map(|number| (format!("header-{number:04}"), number)).collect();
    fixture.channel.enqueue_with(&queue, "x", Properties::new().with_headers(headers.clone()));
    assert_eq!(fixture.channel.get_delivery(&queue).content.properties.headers(), Some(&headers));
}

pub(crate) fn bodies_of_every_size_around_a_frame_survive(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for size in [1, 4087, 4088, 4089, 131_063, 131_064, 131_065, 131_072, 262_129] {
        fixture.channel.send_content(Content::new("", &*queue, vec![7; size]));
        assert_eq!(fixture.channel.get_delivery(&queue).content.body.len(), size);
    }
}
