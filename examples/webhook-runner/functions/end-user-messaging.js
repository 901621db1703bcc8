const { PinpointSMSVoiceV2Client, SendTextMessageCommand } = require('@aws-sdk/client-pinpoint-sms-voice-v2');
const { again, isTransient, reasonOf } = require('./again');

/**
 * A text message for each record. The service has no idempotency key, so a message must not go out again because another one was
 * throttled: the batch is sent again only where none of it has been sent yet, otherwise the throttled
 * message is named.
 */
exports.createHandler =
  (client, originationIdentity, messageType) =>
  async ({ webhook_id, idempotency_key, records }) => {
    const failures = [];
    for (const [index, { phone, message }] of records.entries()) {
      try {
        await client.send(
          new SendTextMessageCommand({
            OriginationIdentity: originationIdentity,
            MessageType: messageType,
            DestinationPhoneNumber: phone,
            MessageBody: message,
            Context: { webhook_id, idempotency_key }, // in the message's events, where a duplicate shows up
          }),
        );
      } catch (error) {
        if (isTransient(error) && failures.length === index) throw again(error); // all before it were refused
        failures.push({ index, reason: reasonOf(error) });
      }
    }
    return { failures };
  };

const { ORIGINATION_IDENTITY, MESSAGE_TYPE } = process.env;
// The runner tries again, at its own pace.
exports.handler = exports.createHandler(
  new PinpointSMSVoiceV2Client({ maxAttempts: 1 }),
  ORIGINATION_IDENTITY,
  MESSAGE_TYPE,
);
