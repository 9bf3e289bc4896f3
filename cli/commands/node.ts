/** `picobolt node`: who a gateway or a device is, and how it stands. */
import { fieldsOf } from "../owner/fields.ts";
import { noun, type Verb } from "../target/noun.ts";

export const nodeInfo: Verb = {
  summary: "who it is, and how it stands",
  examples: [
    "picobolt node info",
    "picobolt node info --gateway https://gateway.example:8080 --macaroon shop.macaroon --ca ca.pem",
    "picobolt node info --device ble:coffee --json",
  ],
  gateway: async (client, { out }) => {
    const info = await client.getNodeInfo();
    for (const line of fieldsOf(info)) out.text(line);
    out.result(info);
  },
  device: async (device, { out }) => {
    const told = await device.info();
    for (const line of fieldsOf(told)) out.text(line);
    out.result(told);
  },
};

export const node = noun("node", { info: nodeInfo });
