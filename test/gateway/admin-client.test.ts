/** The owner's side of a session with a device that is not there, or no longer. */
import { expect, test } from "vitest";
import { REGTEST } from "../../core/chain/networks.ts";
import type { Link } from "../../core/ports/link.ts";
import { AdminClient } from "../../gateway/admin/client.ts";
import { entropy, newOwner, noble } from "../support/program-lab.ts";

test("a cable that is pulled before the device answers ends the call at once, not after its time", async () => {
  const link: Link = {
    name: "serial:pulled",
    kind: "stream",
    send: () => setTimeout(() => link.onClosed("the serial port closed"), 1),
    close: () => {},
    onBytes: () => {},
    onClosed: () => {},
  };
  const calling = AdminClient.connect({
    crypto: noble,
    entropy,
    link,
    deviceId: newOwner().nodeId,
    ownerSecret: newOwner().secret,
    network: REGTEST,
    timeoutMs: 3_600_000,
  });
  await expect(calling).rejects.toThrow("did not answer the call: the link is gone");
});
