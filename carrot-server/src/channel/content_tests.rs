#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;

const HEADER: [u8; 14] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0];

fn begun() -> ContentState<'static> {
    let publish = BasicPublish { routing_key: "q".into(), ..BasicPublish::default() };
    ContentState::Header(Envelope::new(&publish))
}

fn part(octets: &[u8], ends_frame: bool) -> BodyPart<'_> {
    BodyPart { channel: 1, octets, missing: 0, ends_frame }
}

#[test]
fn body_in_parts_is_assembled() {
    let budget = MemoryBudget::new(5);
    let mut state = begun();
    assert!(state.header(&HEADER, 10, &budget).unwrap().is_none());
    assert!(state.body(&part(b"he", true), &budget).unwrap().is_none());
    assert!(state.body(&part(b"llo", false), &budget).unwrap().is_none());
    let message = state.body(&part(b"", true), &budget).unwrap().unwrap();
    assert_eq!(message.body, b"hello");
    assert!(matches!(state, ContentState::Method));
}

#[test]
fn body_beyond_the_budget_closes_the_connection() {
    let budget = MemoryBudget::new(4);
    let mut state = begun();
    state.header(&HEADER, 10, &budget).unwrap();
    state.body(&part(b"he", true), &budget).unwrap();
    let refused = state.body(&part(b"llo", false), &budget).unwrap_err();
    assert_eq!(refused.code, 506);
    drop(state);
    assert!(budget.share().grow(4));
}

#[test]
fn body_too_large_is_counted_and_not_kept() {
    let budget = MemoryBudget::new(0);
    let mut state = begun();
    state.header(&HEADER, 4, &budget).unwrap();
    state.body(&part(b"he", true), &budget).unwrap();
    let message = state.body(&part(b"llo", true), &budget).unwrap().unwrap();
    assert_eq!((message.too_large, message.body.len()), (Some(5), 0));
}

#[test]
fn announced_size_takes_no_memory() {
    let budget = MemoryBudget::new(100);
    let mut header = HEADER;
    header[4..12].copy_from_slice(&u64::MAX.to_be_bytes());
    let mut state = begun();
    state.header(&header, usize::MAX, &budget).unwrap();
    assert!(state.body(&part(b"he", true), &budget).unwrap().is_none());
    assert!(budget.share().grow(96));
}

#[test]
fn frames_out_of_order_are_refused_in_the_words_of_rabbitmq() {
    let budget = MemoryBudget::new(100);
    let mut idle = ContentState::Method;
    let refused = idle.header(&HEADER, 10, &budget).unwrap_err();
    assert!(refused.text.contains("expected method frame"), "{}", refused.text);
    assert!(begun().unexpected().text.contains("got non content header frame instead"));
    let mut other = HEADER;
    other[1] = 50;
    let refused = begun().header(&other, 10, &budget).unwrap_err();
    assert!(refused.text.ends_with("got one for class 50 instead"), "{}", refused.text);
    let mut state = begun();
    state.header(&HEADER, 10, &budget).unwrap();
    let refused = state.body(&part(b"hello!", true), &budget).unwrap_err();
    assert_eq!((refused.code, refused.method), (501, (60, 40)));
}
