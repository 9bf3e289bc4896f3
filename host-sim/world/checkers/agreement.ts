/** When everything has settled, both sides of every open channel say the same, and it is what the channel holds. */
import type { MakeChecker } from "./checker.ts";

export const agreement: MakeChecker = (world, complain) => ({
  end: () => {
    for (const { id, opener, acceptor, fundingSatoshis } of world.book.channels) {
      if (!id) continue;
      const a = world.node(opener).record(id);
      const b = world.node(acceptor).record(id);
      if (a?.phase !== "normal" || b?.phase !== "normal") continue;
      const sum = a.base.toLocalMsat + a.base.toRemoteMsat;
      if (sum !== fundingSatoshis * 1000) complain(`a channel holds ${sum} msat`);
      // No signature covers parts of a satoshi (BOLT 3): of an HTLC a liar may tell another amount by so much.
      const unit = world.isLiar(opener) || world.isLiar(acceptor) ? 1_000 : 1;
      const [ours, theirs] = [a.base.toLocalMsat, b.base.toRemoteMsat];
      if (Math.floor(ours / unit) !== Math.floor(theirs / unit)) {
        complain(`n${opener} has ${ours} msat, n${acceptor} believes ${theirs}`);
      }
    }
  },
});
