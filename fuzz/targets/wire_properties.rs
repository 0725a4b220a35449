//! Reads any octets as the payload of a content header. Properties that are read are equal after a
//! round trip, in their borrowed form and in that of programs.
#![no_main]

use carrot_amqp_wire::{BasicDeliver, ContentHeader, FramePart, FrameReader, FrameWriter, PropertiesRef};
use libfuzzer_sys::fuzz_target;

const FRAME_MAX: u32 = 131_072;

fuzz_target!(|payload: &[u8]| {
    let Ok(header) = ContentHeader::read(payload) else { return };
    let Ok(properties) = header.properties() else { return };
    let written = written(&properties, header.body_size);
    let again = ContentHeader::read(&written).expect("a header that was read can be written");
    assert_eq!(again.body_size, header.body_size);
    assert_eq!(again.properties(), Ok(properties));
    // Flags that announce no property are not kept.
    let has_further_flags = header.property_list.get(1).is_some_and(|low| low & 1 == 1);
    assert!(has_further_flags || written == payload);

    let owned = properties.to_properties();
    // Octets that are not UTF-8 are written as their text, which may be too long.
    if format!("{owned:?}").contains("\\x") {
        return;
    }
    let converted = self::written(&PropertiesRef::from(&owned), header.body_size);
    let again = ContentHeader::read(&converted).and_then(|header| header.properties());
    let again = again.expect("properties can be written").to_properties();
    assert_eq!(format!("{again:?}"), format!("{owned:?}"));
});

/// Returns the payload of a content header.
fn written(properties: &PropertiesRef<'_>, body_size: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 1, FRAME_MAX)
        .content_heads(&BasicDeliver::default().into(), properties, body_size)
        .expect("a header fits its frame");
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let mut input = &octets[..];
    let _ = reader.read(&mut input);
    match reader.read(&mut input) {
        Ok(Some(FramePart::Frame(frame))) => frame.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}
