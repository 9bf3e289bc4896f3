/** `picobolt tower`: who watches for a gateway, and for whom it watches. */
import { commandOf } from "../target/noun.ts";

export const tower = commandOf("tower", {
  summary: "who watches for a gateway, and for whom it watches",
  examples: ["picobolt tower", "picobolt tower --gateway /var/lib/picobolt --json"],
  gateway: async (client, { out }) => {
    const told = await client.getTower();
    const { client: ours, server } = told;
    if (ours) {
      out.text(`watched by  ${ours.tower} (${ours.state})`);
      out.text(
        `            ${ours.waiting_states} states wait for it, ${ours.lost_states} it will never have; ` +
          `${ours.unprotected_msat / 1000} sat are unprotected`,
      );
    } else out.text("watched by  nobody: tower.node_id names no tower");
    if (server) {
      out.text(
        `watches for ${server.clients} clients: ${server.slots} of ${server.slots_total} blobs, ` +
          `${server.breaches} cheats now, ${server.penalties} outputs taken since the start`,
      );
    } else out.text("watches for nobody: tower.serve is off, or its store has no place for it");
    out.result(told);
  },
});
