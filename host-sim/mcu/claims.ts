/** Claims of new emulated microcontrollers in which power fails: each then has its owner or none, and is the device it was. */
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { IdentityCard } from "../../core/transport/identity.ts";
import { AdminRefusal } from "../../gateway/admin/client.ts";
import type { McuImage } from "./build.ts";
import { Mcu, type Strapping } from "./emulator.ts";
import { cardOn, McuOwner } from "./owner.ts";

/** Of a start and the claim after it. */
const LONGEST_MS = 1_500;

export interface ClaimCuts {
  readonly image: McuImage;
  /** Holds a flash for each machine while it is needed. */
  readonly folder: string;
  readonly gateway: PublicKey;
  readonly count: number;
  /** What a new machine's flash takes until it says who it is, and until it is claimed. */
  readonly flashSteps: { readonly started: number; readonly claimed: number };
  readonly onCut: (cut: number, became: string) => void;
}

/** At a step of the claim in the flash, at any moment, at a step of the first start. Throws where something does not hold. */
export async function cutClaims({ image, folder, count, ...more }: ClaimCuts): Promise<void> {
  const { started, claimed } = more.flashSteps;
  const kinds = [
    { where: " at a step of its flash", step: () => randomInt(started, claimed) + 1 },
    { where: "", step: () => undefined },
    { where: " at a step of its first start", step: () => randomInt(started) + 1 },
  ];
  for (let cut = 1; cut <= count; cut++) {
    const own = mkdtempSync(join(folder, "claim-"));
    try {
      const { where, step } = kinds[(cut - 1) % kinds.length] as (typeof kinds)[number];
      const failingFlashStep = step();
      const faults = failingFlashStep === undefined ? {} : { failingFlashStep };
      const machine = new NewMcu(image, own, new McuOwner(more.gateway));
      const seen = await machine.claimUntilPowerFails(faults);
      const became = await machine.check(seen, new McuOwner(more.gateway));
      more.onCut(cut, `${where}: ${became}`);
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  }
}

/** What was heard before the cut. */
interface Heard {
  card?: IdentityCard;
  isClaimed?: boolean;
}

class NewMcu {
  constructor(
    private readonly image: McuImage,
    private readonly folder: string,
    private readonly owner: McuOwner,
  ) {}

  async claimUntilPowerFails(faults: Strapping): Promise<Heard> {
    const heard: Heard = {};
    await this.live(faults, async (link, mcu) => {
      const claiming = this.claim(link, heard).catch(() => {});
      const isMoment = faults.failingFlashStep === undefined;
      const waiting = isMoment
        ? new Promise((wake) => setTimeout(wake, randomInt(LONGEST_MS)))
        : claiming;
      await Promise.race([waiting, mcu.exited]);
      await mcu.kill();
      await claiming;
    });
    return heard;
  }

  /** In the next life, with power. */
  async check(heard: Heard, stranger: McuOwner): Promise<string> {
    return this.live({}, async (link) => {
      const card = await cardOn(link);
      if (heard.card && !equal(heard.card.nodeId, card.nodeId)) {
        throw new Error("a power cut during the claim made another device of it");
      }
      if (heard.isClaimed && !card.claimed) throw new Error("a claim that was answered is lost");
      if (!card.claimed) {
        await this.owner.claim(link, card.nodeId);
        return "nobody's, and then claimed";
      }
      const refused = await stranger.claim(link, card.nodeId).catch((cause: unknown) => cause);
      if (!(refused instanceof AdminRefusal && refused.code === "claimed")) {
        throw new Error(`a stranger claims a machine that has an owner: ${refused}`);
      }
      const { name, app } = await this.owner.info(link, card.nodeId);
      if (name !== card.name || (app as { ready?: boolean } | undefined)?.ready !== true) {
        throw new Error(`its owner finds ${name} with the app ${JSON.stringify(app)}`);
      }
      return "wholly its owner's";
    });
  }

  private async claim(link: Link, heard: Heard): Promise<void> {
    heard.card = await cardOn(link);
    await this.owner.claim(link, heard.card.nodeId);
    heard.isClaimed = true;
  }

  private async live<T>(faults: Strapping, work: (link: Link, mcu: Mcu) => Promise<T>): Promise<T> {
    const mcu = await Mcu.start(this.image, this.folder, faults);
    try {
      return await work(await mcu.openUart(), mcu);
    } finally {
      if (mcu.isRunning) await mcu.kill();
    }
  }
}
