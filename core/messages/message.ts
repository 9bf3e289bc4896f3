/** The closed list of messages, and their types. */
import { adminMessages } from "./admin.ts";
import { channelMessages } from "./channel.ts";
import { routingMessages } from "./routing.ts";
import type { MessageOf } from "./schema.ts";
import { serviceMessages } from "./service.ts";
import { setupMessages } from "./setup.ts";
import { storageMessages } from "./storage.ts";
import { towerMessages } from "./tower.ts";
import { updateMessages } from "./update.ts";

export const messageDefinitions = [
  ...setupMessages,
  ...channelMessages,
  ...updateMessages,
  ...serviceMessages,
  ...adminMessages,
  ...towerMessages,
  ...routingMessages,
  ...storageMessages,
] as const;

export type Message = MessageOf<(typeof messageDefinitions)[number]>;
export type MessageType = Message["type"];
export type MessageNamed<T extends MessageType> = Extract<Message, { readonly type: T }>;
