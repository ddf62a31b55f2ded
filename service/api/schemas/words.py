"""Descriptions of the OpenAPI document's properties: one sentence for all models with that property, or for one model.

A field's own `description` takes precedence. A test checks that every property has a sentence.
"""

from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

_EVERYWHERE = {
    "accepted": "How many lines were accepted as messages by this sending of the file.",
    "action": "What was done, as in `endpoint.secret_rotated`.",
    "active": "Whether any endpoint would be sent such a message now.",
    "actor": "The organisation, application or subject that the token spoke for.",
    "appId": "The application that it is about, or null where it is about none.",
    "appUid": "Your own name for the application, if it has one.",
    "appIds": "The applications to count for, by id or uid; all of the organisation's when it is left out.",
    "application": "The application to create first, when there is none with the uid of the path.",
    "archived": "Whether it is put away: it is kept, but is not listed unless asked for, and endpoints cannot name it.",
    "attempt": "The one attempt that was made, with the receiver's answer.",
    "capabilities": "What the token allows; all that an application may do when it is left out.",
    "channel": "Only messages that were sent with this channel.",
    "channels": "Channels of the message. An endpoint that names channels gets messages with one of them only.",
    "code": "The kind of problem, in a word that stays the same: for programs.",
    "correlationId": "The `X-Request-ID` of the request that did it.",
    "createdAt": "When it was created.",
    "data": "The items of this page, in the list's order.",
    "deleteHeaders": "Names of headers to remove; case does not matter.",
    "deliverAt": "When it is to be delivered; at once when it is null.",
    "deprecated": "Whether it should not be used any more. Nothing but this mark changes.",
    "description": "What a person should know of it.",
    "detail": "What is wrong and what would be right: for people.",
    "disabled": "Whether it is switched off: a disabled endpoint is sent nothing.",
    "dryRun": "Whether to answer what would change, and change nothing.",
    "endpointId": "The endpoint that was called.",
    "endpointUid": "Your own name for the endpoint, if it has one.",
    "expiresAt": "When it ends by itself; never when it is null.",
    "eventId": "Your own name for the message, unique in its application for as long as the message is kept.",
    "eventType": "The name of the event's type.",
    "eventTypes": "The event types that the endpoint wants; all of them when it is null.",
    "exampleIndex": "Which of the examples in the event type's latest schema to send, counted from 0.",
    "expiry": "For how many seconds the token holds.",
    "fail": "Attempts that failed.",
    "canceled": "Deliveries that were given up because their endpoint was disabled or deleted.",
    "featureFlag": "The first of `featureFlags`: what older SDKs send and read.",
    "featureFlags": "Only application tokens with one of these flags see it; all do when it is null.",
    "fileId": "Your name for the file, or the one that Relevo gave it.",
    "filterTypes": "The same as `eventTypes`: what older SDKs read.",
    "gracePeriodSeconds": "For how many seconds the old secret signs beside the new one.",
    "groupName": "The group that the event type is shown in.",
    "headers": "Headers by name that each call to the endpoint carries.",
    "id": "The identifier that Relevo gave it.",
    "ids": "Messages by their ids or event ids.",
    "iterator": "Where this page ends: send it as `iterator` to read on. Null when the page is empty.",
    "key": "The signing secret: `whsec_` and base64, or for ed25519 `whpk_` and the public key.",
    "lastAttempt": "The attempt that gave cause to tell.",
    "loc": "The path to the value, as in `body`, `eventTypes`, `0`.",
    "metadata": "Texts by name that are kept with it for you, 4,096 bytes of JSON at most.",
    "msg": "The message, without its payload, where it was asked for with `with_msg`.",
    "msgEventId": "Your own name for the message, if it has one.",
    "msgId": "The message that was delivered.",
    "name": "The name of the event type: letters, digits, `-`, `_` and `.`.",
    "nextAttempt": "When it is tried next; null when it is not.",
    "payload": "What the endpoint is sent, byte for byte as it was written.",
    "payloadRetentionHours": "For how many hours the payload is kept, in place of `payloadRetentionPeriod`.",
    "prevIterator": "Where this page begins: send it as `iterator` to read back. Null when the page is empty.",
    "done": "Whether nothing more lies in the direction that was read.",
    "rateLimit": "The same as `throttleRate`: what older SDKs read.",
    "rawPayload": "Sent in place of the payload, byte for byte; it need not be JSON.",
    "responseDurationMs": "How long the attempt took, from connecting to the last byte, in milliseconds.",
    "results": "For each message that was named, whether its payload is gone or there is no such message.",
    "role": "The role of the token: `admin`, `writer`, `reader` or `application`.",
    "schemas": "A JSON Schema of the payload for each version, by the version's number.",
    "secret": "The secret that signs; one is made when it is left out.",
    "sending": "Always 0: an attempt is counted when it is over.",
    "pending": "Always 0: an attempt is counted when it is over.",
    "sensitive": "Names of headers that hold credentials; their values are never shown.",
    "sessionId": "Your name for the session that the token is given to, by which it can be ended.",
    "sessionIds": "Sessions whose tokens end; those of all sessions when it is left out.",
    "settings": "Settings of the hosted product: read and left alone.",
    "connectors": "Connectors of the hosted product: read and left alone.",
    "since": "The beginning of the span of time.",
    "spec": "The OpenAPI document as an object.",
    "specRaw": "The OpenAPI document as text, in YAML or JSON.",
    "status": "How it stands.",
    "statusCodeClass": "Only what was answered with a status of this hundred; 0 is for no answer.",
    "statusText": "The status as a word.",
    "success": "Attempts that succeeded.",
    "tag": "Only messages that were sent with this tag.",
    "tags": "Words to find the message by.",
    "target": "The id of what it was done to, where it was one thing.",
    "task": "What kind of task it is.",
    "throttleRate": "How many messages a second may be sent at most; no limit when it is null.",
    "timestamp": "When it happened.",
    "token": "The token, to be sent as `Authorization: Bearer <token>`.",
    "tokenId": "Which token it was, without being of use as one.",
    "traceId": "The trace that shows the attempt.",
    "transformationsParams": "What is to be sent in place of the payload, and as what.",
    "type": "The kind of fault, in a word that stays the same.",
    "uid": "Your own name for it, which stands wherever its id may.",
    "unresolvedAppIds": "The applications that were named and are not there.",
    "until": "The end of the span of time, by default now.",
    "updatedAt": "When it was changed last.",
    "url": "Where the endpoint is called: http or https.",
    "validatePayloads": "Whether a message of this type is accepted only if its payload keeps the latest schema.",
    "version": "A number of your own; nothing depends on it.",
}
_OF_ONE = {
    "AppPortalAccessOut.url": "Where a person can use the token.",
    "ApplicationIn.name": "What a person calls the application.",
    "ApplicationOut.name": "What a person calls the application.",
    "ApplicationPatch.name": "What a person calls the application.",
    "ApplicationTokenExpireIn.expiry": "In how many seconds the tokens end.",
    "AttemptEventData.appId": "The application that the message was sent to.",
    "AuditEventOut.timestamp": "When it was done.",
    "BackgroundTaskOut.data": "What the task has to show so far, by what kind it is.",
    "BulkReplayIn.eventTypes": "Only messages of these event types; of all when it is left out.",
    "BulkReplayIn.status": "Only deliveries that stand so: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.",
    "AttemptEventOut.data": "The delivery that it is about.",
    "AttemptEventOut.type": "What happened.",
    "EndpointEventOut.data": "The endpoint that it is about.",
    "EndpointEventOut.type": "What happened.",
    "EndpointEventData.appId": "The application that the endpoint belongs to.",
    "EndpointEventData.endpointId": "The endpoint that it happened to.",
    "EndpointIn.channels": "The channels that it listens to; messages of any reach it when it is null.",
    "EndpointOut.channels": "The channels that it listens to; messages of any reach it when it is null.",
    "EndpointPatch.channels": "The channels that it listens to; messages of any reach it when it is null.",
    "EndpointUpsertIn.channels": "The channels that it listens to; messages of any reach it when it is null.",
    "EndpointMessageOut.timestamp": "When the message was accepted.",
    "EndpointSecretRotateIn.key": "The new secret; one of the old one's kind is made when it is left out.",
    "EnvironmentIn.eventTypes": "The event types to create or replace.",
    "EnvironmentOut.eventTypes": "The organisation's event types, archived ones included.",
    "EnvironmentOut.version": "In which form the document is written; there is one so far.",
    "EventExampleIn.payload": "A payload to send in place of an example.",
    "EventTypeImportOpenApiOut.data": "What was changed, or would be.",
    "EventTypeImportOpenApiOutData.modified": "The names of the event types that were created, changed or archived.",
    "EventTypeImportOpenApiOutData.to_modify": "With `dryRun`, the event types as they would be.",
    "ExampleOut.timestamp": "When the example was sent.",
    "Faults.detail": "Each value that is wrong; the first hundred, if there are more.",
    "Fault.msg": "What is wrong with it, and what would be right.",
    "LineFaultOut.code": "The kind of fault, in a word that stays the same.",
    "MessageAttemptOut.timestamp": "When the attempt began.",
    "MessageAttemptOut.url": "The address that was called.",
    "MessageEndpointOut.channels": "The channels that it listens to; messages of any reach it when it is null.",
    "MessageImportOut.status": "Running, finished, or failed: then it goes on when the file is sent again.",
    "MessageOut.timestamp": "When the message was accepted.",
    "MessagePrecheckIn.eventType": "The event type that the message would have.",
    "OperationalWebhookEndpointIn.eventTypes": "The operational events to be told of; all when it is null.",
    "OperationalWebhookEndpointUpsertIn.eventTypes": "The operational events to be told of; all when it is null.",
    "OperationalWebhookEndpointOut.eventTypes": "The operational events to be told of; all when it is null.",
    "TransformationsParams.headers": "Headers of the payload; `content-type` says what it is.",
}


def describe(model: str, schema: JsonSchemaValue) -> JsonSchemaValue:
    """The schema of the model, with a description for each property that lacks one."""
    for name, described in schema.get("properties", {}).items():
        sentence = _OF_ONE.get(f"{model}.{name}") or _EVERYWHERE.get(name)
        if sentence is not None:
            described.setdefault("description", sentence)
    return schema


class Described:
    """Base class of models: adds the descriptions to their schema in the OpenAPI document."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema with descriptions."""
        schema = handler(core_schema)
        describe(cls.__name__, handler.resolve_ref_schema(schema))
        return schema
