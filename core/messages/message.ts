/** The closed list of messages, and their types. */
import { adminMessages } from "./admin.ts";
import { channelMessages } from "./channel.ts";
import type { MessageOf } from "./schema.ts";
import { serviceMessages } from "./service.ts";
import { setupMessages } from "./setup.ts";
import { updateMessages } from "./update.ts";

export const messageDefinitions = [
  ...setupMessages,
  ...channelMessages,
  ...updateMessages,
  ...serviceMessages,
  ...adminMessages,
] as const;

export type Message = MessageOf<(typeof messageDefinitions)[number]>;
export type MessageType = Message["type"];
export type MessageNamed<T extends MessageType> = Extract<Message, { readonly type: T }>;
