use crate::cursor::Cursor;
use crate::error::WireError;
use crate::field_writer::FieldWriter;
use crate::methods::method_fields::MethodFields;
use crate::methods::*;

macro_rules! methods {
    ($($class:literal, $number:literal, $name:literal:
        $variant:ident $(($bound:ident: $fields:ty))?;)*) => {
        /// A method of AMQP 0-9-1, with its fields.
        ///
        /// One enum holds the methods of all classes, because a peer may send any method on any
        /// channel. A `match` then names each expected method once. Methods without fields are
        /// variants without a struct. Reading borrows strings and tables, and allocates nothing.
        ///
        /// ```
        /// use carrot_amqp_wire::{BasicAck, Method};
        ///
        /// let payload = [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 1];
        /// let ack = BasicAck { delivery_tag: 7, multiple: true };
        /// assert_eq!(Method::read(&payload)?, Method::BasicAck(ack));
        /// # Ok::<(), carrot_amqp_wire::WireError>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum Method<'a> {
            $(
                #[doc = concat!("The method `", $name, "`.")]
                $variant $(($fields))?,
            )*
        }

        impl<'a> Method<'a> {
            /// Reads the payload of a method frame.
            ///
            /// The payload has to end with the last field of the method. Reserved fields and unused
            /// bits may have any value.
            ///
            /// # Errors
            /// - [`WireError::UnknownMethod`]: no method has these numbers.
            /// - [`WireError::Truncated`], [`WireError::Trailing`]: the payload is too short or too
            ///   long for the method.
            /// - [`WireError::ValueKind`], [`WireError::TooDeep`]: a table is malformed.
            pub fn read(payload: &'a [u8]) -> Result<Method<'a>, WireError> {
                let mut cursor = Cursor::new(payload, "a method");
                let (class, method) = (cursor.u16("class")?, cursor.u16("method")?);
                let rest = cursor.rest();
                match (class, method) {
                    $(($class, $number) => {
                        #[allow(unused_mut, reason = "some methods have no fields")]
                        let mut cursor = Cursor::new(rest, $name);
                        let method = Method::$variant $((
                            <$fields as MethodFields<'a>>::read_fields(&mut cursor)?
                        ))?;
                        cursor.finish()?;
                        Ok(method)
                    })*
                    _ => Err(WireError::UnknownMethod { class, method }),
                }
            }

            /// Returns the class and the number of the method.
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $(Method::$variant { .. } => ($class, $number),)*
                }
            }

            /// Returns the name of the method, such as `basic.publish`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Method::$variant { .. } => $name,)*
                }
            }

            /// Appends the payload of a method frame.
            pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
                match self {
                    $(Method::$variant $(($bound))? => {
                        #[allow(unused_mut, reason = "some methods have no fields")]
                        let mut writer = FieldWriter::new(out, $name);
                        writer.octets(&const {
                            let ([a, b], [c, d]) =
                                (u16::to_be_bytes($class), u16::to_be_bytes($number));
                            [a, b, c, d]
                        });
                        $($bound.write_fields(&mut writer)?;)?
                        Ok(())
                    })*
                }
            }

            /// Returns one of each method.
            #[cfg(test)]
            pub(crate) fn all(samples: &mut crate::testing::Samples<'a>) -> Vec<Method<'a>> {
                vec![$(
                    Method::$variant $((<$fields as MethodFields<'_>>::sample_fields(samples)))?,
                )*]
            }
        }

        $($(
            impl<'a> From<$fields> for Method<'a> {
                fn from($bound: $fields) -> Method<'a> {
                    Method::$variant($bound)
                }
            }
        )?)*
    };
}

methods! {
    10, 10, "connection.start": ConnectionStart(start: ConnectionStart<'a>);
    10, 11, "connection.start-ok": ConnectionStartOk(start_ok: ConnectionStartOk<'a>);
    10, 20, "connection.secure": ConnectionSecure(secure: ConnectionSecure<'a>);
    10, 21, "connection.secure-ok": ConnectionSecureOk(secure_ok: ConnectionSecureOk<'a>);
    10, 30, "connection.tune": ConnectionTune(tune: ConnectionTune);
    10, 31, "connection.tune-ok": ConnectionTuneOk(tune_ok: ConnectionTuneOk);
    10, 40, "connection.open": ConnectionOpen(open: ConnectionOpen<'a>);
    10, 41, "connection.open-ok": ConnectionOpenOk(open_ok: ConnectionOpenOk);
    10, 50, "connection.close": ConnectionClose(close: ConnectionClose<'a>);
    10, 51, "connection.close-ok": ConnectionCloseOk;
    10, 60, "connection.blocked": ConnectionBlocked(blocked: ConnectionBlocked<'a>);
    10, 61, "connection.unblocked": ConnectionUnblocked;
    10, 70, "connection.update-secret":
        ConnectionUpdateSecret(update_secret: ConnectionUpdateSecret<'a>);
    10, 71, "connection.update-secret-ok": ConnectionUpdateSecretOk;
    20, 10, "channel.open": ChannelOpen(open: ChannelOpen);
    20, 11, "channel.open-ok": ChannelOpenOk(open_ok: ChannelOpenOk);
    20, 20, "channel.flow": ChannelFlow(flow: ChannelFlow);
    20, 21, "channel.flow-ok": ChannelFlowOk(flow_ok: ChannelFlowOk);
    20, 40, "channel.close": ChannelClose(close: ChannelClose<'a>);
    20, 41, "channel.close-ok": ChannelCloseOk;
    30, 10, "access.request": AccessRequest(request: AccessRequest<'a>);
    30, 11, "access.request-ok": AccessRequestOk(request_ok: AccessRequestOk);
    40, 10, "exchange.declare": ExchangeDeclare(declare: ExchangeDeclare<'a>);
    40, 11, "exchange.declare-ok": ExchangeDeclareOk;
    40, 20, "exchange.delete": ExchangeDelete(delete: ExchangeDelete<'a>);
    40, 21, "exchange.delete-ok": ExchangeDeleteOk;
    40, 30, "exchange.bind": ExchangeBind(bind: ExchangeBind<'a>);
    40, 31, "exchange.bind-ok": ExchangeBindOk;
    40, 40, "exchange.unbind": ExchangeUnbind(unbind: ExchangeUnbind<'a>);
    40, 51, "exchange.unbind-ok": ExchangeUnbindOk;
    50, 10, "queue.declare": QueueDeclare(declare: QueueDeclare<'a>);
    50, 11, "queue.declare-ok": QueueDeclareOk(declare_ok: QueueDeclareOk<'a>);
    50, 20, "queue.bind": QueueBind(bind: QueueBind<'a>);
    50, 21, "queue.bind-ok": QueueBindOk;
    50, 30, "queue.purge": QueuePurge(purge: QueuePurge<'a>);
    50, 31, "queue.purge-ok": QueuePurgeOk(purge_ok: QueuePurgeOk);
    50, 40, "queue.delete": QueueDelete(delete: QueueDelete<'a>);
    50, 41, "queue.delete-ok": QueueDeleteOk(delete_ok: QueueDeleteOk);
    50, 50, "queue.unbind": QueueUnbind(unbind: QueueUnbind<'a>);
    50, 51, "queue.unbind-ok": QueueUnbindOk;
    60, 10, "basic.qos": BasicQos(qos: BasicQos);
    60, 11, "basic.qos-ok": BasicQosOk;
    60, 20, "basic.consume": BasicConsume(consume: BasicConsume<'a>);
    60, 21, "basic.consume-ok": BasicConsumeOk(consume_ok: BasicConsumeOk<'a>);
    60, 30, "basic.cancel": BasicCancel(cancel: BasicCancel<'a>);
    60, 31, "basic.cancel-ok": BasicCancelOk(cancel_ok: BasicCancelOk<'a>);
    60, 40, "basic.publish": BasicPublish(publish: BasicPublish<'a>);
    60, 50, "basic.return": BasicReturn(returned: BasicReturn<'a>);
    60, 60, "basic.deliver": BasicDeliver(deliver: BasicDeliver<'a>);
    60, 70, "basic.get": BasicGet(get: BasicGet<'a>);
    60, 71, "basic.get-ok": BasicGetOk(get_ok: BasicGetOk<'a>);
    60, 72, "basic.get-empty": BasicGetEmpty(get_empty: BasicGetEmpty);
    60, 80, "basic.ack": BasicAck(ack: BasicAck);
    60, 90, "basic.reject": BasicReject(reject: BasicReject);
    60, 100, "basic.recover-async": BasicRecoverAsync(recover_async: BasicRecoverAsync);
    60, 110, "basic.recover": BasicRecover(recover: BasicRecover);
    60, 111, "basic.recover-ok": BasicRecoverOk;
    60, 120, "basic.nack": BasicNack(nack: BasicNack);
    85, 10, "confirm.select": ConfirmSelect(select: ConfirmSelect);
    85, 11, "confirm.select-ok": ConfirmSelectOk;
    90, 10, "tx.select": TxSelect;
    90, 11, "tx.select-ok": TxSelectOk;
    90, 20, "tx.commit": TxCommit;
    90, 21, "tx.commit-ok": TxCommitOk;
    90, 30, "tx.rollback": TxRollback;
    90, 31, "tx.rollback-ok": TxRollbackOk;
}

impl Method<'_> {
    /// Returns whether a content header and a body follow the method (AMQP 0-9-1 4.2.6).
    pub fn has_content(&self) -> bool {
        matches!(
            self,
            Method::BasicPublish(_)
                | Method::BasicReturn(_)
                | Method::BasicDeliver(_)
                | Method::BasicGetOk(_)
        )
    }
}
