//! Headers exchanges.

use crate::support::*;

struct HeadersFixture<'harness> {
    fixture: CaseFixture<'harness>,
    exchange: String,
    queue: String,
}

/// Binds a queue to a headers exchange with these arguments.
fn bound<'harness, const COUNT: usize>(
    harness: &'harness dyn Harness,
    arguments: [(&str, Value); COUNT],
) -> HeadersFixture<'harness> {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.headers_exchange(), fixture.queue());
    let mut binding = Binding::queue(&exchange, &queue, "");
    binding.arguments = Headers::from(arguments);
    fixture.bind_as(&binding);
    HeadersFixture { fixture, exchange, queue }
}

impl HeadersFixture<'_> {
    #[track_caller]
    fn routes<const COUNT: usize>(&self, headers: [(&str, Value); COUNT]) {
        assert!(self.arrives(headers.clone()), "{headers:?} did not match");
    }

    #[track_caller]
    fn drops<const COUNT: usize>(&self, headers: [(&str, Value); COUNT]) {
        assert!(!self.arrives(headers.clone()), "{headers:?} matched");
    }

    #[track_caller]
    fn routes_if<const COUNT: usize>(&self, matching: bool, headers: [(&str, Value); COUNT]) {
        assert_eq!(self.arrives(headers.clone()), matching, "whether {headers:?} matches");
    }

    fn arrives<const COUNT: usize>(&self, headers: [(&str, Value); COUNT]) -> bool {
        let properties = Properties::new().with_headers(headers);
        self.fixture.channel.send_content(
            Content::new(&*self.exchange, "any key", "x").with_properties(properties),
        );
        self.fixture
            .channel
            .get(&self.queue, Acknowledgement::Automatic, DEADLINE)
            .expect("get")
            .is_some()
    }
}

pub(crate) fn x_match_all_requires_every_header(harness: &dyn Harness) {
    let bound =
        bound(harness, [("x-match", "all".into()), ("format", "pdf".into()), ("pages", 3.into())]);
    bound.routes([("format", "pdf".into()), ("pages", 3.into())]);
    bound.routes([("format", "pdf".into()), ("pages", 3.into()), ("more", true.into())]);
    bound.drops([("format", "pdf".into())]);
    bound.drops([("format", "pdf".into()), ("pages", 4.into())]);
    bound.drops([]);
}

pub(crate) fn x_match_any_requires_one_header(harness: &dyn Harness) {
    let bound =
        bound(harness, [("x-match", "any".into()), ("format", "pdf".into()), ("pages", 3.into())]);
    bound.routes([("format", "pdf".into())]);
    bound.routes([("format", "zip".into()), ("pages", 3.into())]);
    bound.drops([("format", "zip".into())]);
    bound.drops([]);
}

pub(crate) fn a_binding_without_x_match_requires_every_header(harness: &dyn Harness) {
    let bound = bound(harness, [("format", "pdf".into()), ("pages", 3.into())]);
    bound.routes([("format", "pdf".into()), ("pages", 3.into())]);
    bound.drops([("format", "pdf".into())]);
}

pub(crate) fn an_empty_all_binding_matches_everything(harness: &dyn Harness) {
    let bound = bound(harness, [("x-match", "all".into())]);
    bound.routes([]);
    bound.routes([("format", "pdf".into())]);
}

pub(crate) fn an_empty_any_binding_matches_nothing(harness: &dyn Harness) {
    let bound = bound(harness, [("x-match", "any".into())]);
    bound.drops([]);
    bound.drops([("format", "pdf".into())]);
}

pub(crate) fn a_message_without_a_header_table_has_no_headers(harness: &dyn Harness) {
    let bound = bound(harness, [("x-match", "all".into()), ("format", "pdf".into())]);
    bound.fixture.channel.send(&bound.exchange, "", "x");
    bound.fixture.channel.expect_empty(&bound.queue);
}

pub(crate) fn a_void_argument_requires_the_header(harness: &dyn Harness) {
    let bound = bound(harness, [("format", Value::Void)]);
    bound.routes([("format", "pdf".into())]);
    bound.routes([("format", 7.into())]);
    bound.routes([("format", Value::Void)]);
    bound.drops([("other", "pdf".into())]);
}

pub(crate) fn header_values_of_other_types_do_not_match(harness: &dyn Harness) {
    let bound = bound(harness, [("pages", 3.into())]);
    bound.routes([("pages", 3.into())]);
    bound.drops([("pages", "3".into())]);
    bound.drops([("pages", true.into())]);
    bound.drops([("pages", Value::Decimal { scale: 0, value: 3 })]);
    bound.drops([("pages", vec![Value::from(3)].into())]);
}

pub(crate) fn header_integers_match_integers_of_their_value(harness: &dyn Harness) {
    let bound = bound(harness, [("pages", Value::I32(3))]);
    for value in [
        Value::I8(3),
        Value::U8(3),
        Value::I16(3),
        Value::U16(3),
        Value::I32(3),
        Value::U32(3),
        Value::I64(3),
    ] {
        bound.routes([("pages", value)]);
    }
    let by_value = ReleaseAnswer::HeaderNumbersMatchByValue.is_expected(harness);
    for value in [Value::F32(3.0), Value::F64(3.0), Value::Timestamp(3)] {
        bound.routes_if(by_value, [("pages", value)]);
    }
    for value in [Value::I64(4), Value::F64(3.5)] {
        bound.drops([("pages", value)]);
    }
}

pub(crate) fn a_float_header_matches_floats_of_its_value(harness: &dyn Harness) {
    let bound = bound(harness, [("ratio", Value::F64(2.0))]);
    let by_value = ReleaseAnswer::HeaderNumbersMatchByValue.is_expected(harness);
    bound.routes([("ratio", Value::F32(2.0))]);
    bound.routes([("ratio", Value::F64(2.0))]);
    bound.routes_if(by_value, [("ratio", Value::I32(2))]);
    bound.routes_if(by_value, [("ratio", Value::Timestamp(2))]);
    bound.drops([("ratio", Value::I32(3))]);
    bound.drops([("ratio", Value::F64(2.5))]);
}

pub(crate) fn a_timestamp_argument_matches_integers_of_its_value(harness: &dyn Harness) {
    let bound = bound(harness, [("since", Value::Timestamp(2))]);
    let by_value = ReleaseAnswer::HeaderNumbersMatchByValue.is_expected(harness);
    bound.routes([("since", Value::I32(2))]);
    bound.routes([("since", Value::I64(2))]);
    bound.routes_if(by_value, [("since", Value::Timestamp(2))]);
    bound.routes_if(by_value, [("since", Value::F64(2.0))]);
    bound.drops([("since", Value::I64(3))]);
}

pub(crate) fn header_bytes_and_strings_are_equal(harness: &dyn Harness) {
    let bound = bound(harness, [("format", "pdf".into())]);
    bound.routes([("format", Value::Bytes(b"pdf".to_vec()))]);
    bound.drops([("format", Value::Bytes(b"zip".to_vec()))]);
}

pub(crate) fn header_lists_and_tables_are_compared_with_the_types_of_their_elements(
    harness: &dyn Harness,
) {
    let bound = bound(
        harness,
        [("sizes", vec![Value::I32(1)].into()), ("nested", Headers::from([("a", 1)]).into())],
    );
    bound.routes([
        ("sizes", vec![Value::I32(1)].into()),
        ("nested", Headers::from([("a", 1)]).into()),
    ]);
    bound.drops([
        ("sizes", vec![Value::I64(1)].into()),
        ("nested", Headers::from([("a", 1)]).into()),
    ]);
    bound.drops([
        ("sizes", vec![Value::I32(1)].into()),
        ("nested", Headers::from([("a", 1_i64)]).into()),
    ]);
}

pub(crate) fn header_values_are_compared_exactly(harness: &dyn Harness) {
    let bound = bound(harness, [("format", "pdf".into())]);
    bound.drops([("format", "PDF".into())]);
    bound.drops([("format", "pdf ".into())]);
    bound.drops([("Format", "pdf".into())]);
}

pub(crate) fn x_headers_are_not_compared(harness: &dyn Harness) {
    let bound = bound(
        harness,
        [("x-match", "all".into()), ("x-tenant", "acme".into()), ("format", "pdf".into())],
    );
    bound.routes([("format", "pdf".into())]);
    bound.routes([("format", "pdf".into()), ("x-tenant", "other".into())]);
}

pub(crate) fn x_match_all_with_x_compares_x_headers(harness: &dyn Harness) {
    let bound = bound(
        harness,
        [("x-match", "all-with-x".into()), ("x-tenant", "acme".into()), ("format", "pdf".into())],
    );
    bound.routes([("format", "pdf".into()), ("x-tenant", "acme".into())]);
    bound.drops([("format", "pdf".into())]);
}

pub(crate) fn x_match_any_with_x_compares_x_headers(harness: &dyn Harness) {
    let bound = bound(
        harness,
        [("x-match", "any-with-x".into()), ("x-tenant", "acme".into()), ("format", "pdf".into())],
    );
    bound.routes([("x-tenant", "acme".into())]);
    bound.drops([("x-tenant", "other".into())]);
}

pub(crate) fn an_unknown_x_match_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.headers_exchange(), fixture.queue());
    for value in [Value::from("some"), Value::from(1)] {
        let binding = Binding::queue(&exchange, &queue, "").argument("x-match", value);
        assert_error!(fixture.open().bind(&binding), Error::PreconditionFailed { .. });
    }
}

pub(crate) fn a_headers_exchange_ignores_the_routing_key(harness: &dyn Harness) {
    let bound = bound(harness, [("format", "pdf".into())]);
    let properties = Properties::new().with_header("format", "pdf");
    for key in ["", "one", "two.words"] {
        bound.fixture.channel.send_content(
            Content::new(&*bound.exchange, key, key).with_properties(properties.clone()),
        );
    }
    bound.fixture.channel.expect_messages(&bound.queue, ["", "one", "two.words"]);
}

pub(crate) fn bindings_with_other_arguments_are_other_bindings(harness: &dyn Harness) {
    let bound = bound(harness, [("format", "pdf".into())]);
    bound
        .fixture
        .bind_as(&Binding::queue(&bound.exchange, &bound.queue, "").argument("format", "zip"));
    bound.routes([("format", "zip".into())]);
    bound
        .fixture
        .channel
        .unbind(&Binding::queue(&bound.exchange, &bound.queue, "").argument("format", "pdf"));
    bound.drops([("format", "pdf".into())]);
    bound.routes([("format", "zip".into())]);
}
