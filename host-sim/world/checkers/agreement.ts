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
      if (a.base.toLocalMsat !== b.base.toRemoteMsat) {
        complain(`n${opener} has ${a.base.toLocalMsat} msat, n${acceptor} says otherwise`);
      }
    }
  },
});
