/** Bugs of the commitment dance: what is stored, signed, revoked and sent again (BOLT 2). */
import type { Mutant } from "./mutant.ts";

const RUNNER = "core/node/channel-runner.ts";
const COMMITMENTS = "core/channel/commitments.ts";
const REESTABLISH = "core/channel/reestablish.ts";
const SIGNER = "core/keys/channel-signer.ts";

export const COMMITMENT_MUTANTS: readonly Mutant[] = [
  {
    name: "send-before-commit",
    breaks: "persist-before-send",
    edits: [
      {
        file: RUNNER,
        old: `    if (outcome instanceof Promise) return outcome.then((done) => this.committed(effects, done));
    this.committed(effects, outcome);
    return undefined;`,
        new: `    if (outcome instanceof Promise) {
      const isMessage = ({ type }: Effect) => type === "send";
      this.performEach(effects.filter(isMessage), NO_DUPLICATES);
      return outcome.then((done) =>
        this.committed(effects.filter((effect) => !isMessage(effect)), done),
      );
    }
    this.committed(effects, outcome);
    return undefined;`,
      },
    ],
    seeds: 12,
    first: 2,
    needs: ["slowStores"],
  },
  {
    name: "revoke-early",
    breaks: "secret-after-successor-stored",
    edits: [
      {
        file: RUNNER,
        old: "perCommitmentSecret: this.signer.revokeLocal(commitmentNumber(number)),",
        new: "perCommitmentSecret: this.signer.revokeLocal(commitmentNumber(number + 1)),",
      },
      { file: SIGNER, old: "number < this.#localNumber,", new: "true," },
    ],
    seeds: 3,
  },
  {
    name: "forget-a-revocation",
    breaks: "per-commitment-secret",
    edits: [
      {
        file: COMMITMENTS,
        old: `    secrets: insertSecret(
      crypto,
      record.secrets,
      record.remoteNumber,
      secretKey(perCommitmentSecret),
    ),`,
        new: "    secrets: record.secrets,",
      },
    ],
    seeds: 12,
  },
  {
    name: "sign-a-revoked-state",
    breaks: "never-broadcast-revoked",
    edits: [
      {
        file: "core/chain/monitor/close-locally.ts",
        old: "broadcaster: context.signer.signLocalCommitment(spec.number, commitment.sighash),",
        new: `broadcaster: context.signer.signLocalCommitment(
      Math.max(0, spec.number - 1) as typeof spec.number,
      commitment.sighash,
    ),`,
      },
      {
        file: SIGNER,
        old: "this.#localNumber !== NOTHING_STORED && number >= this.#localNumber,",
        new: "true,",
      },
    ],
    seeds: 12,
    first: 2,
    needs: ["forceCloses"],
  },
  {
    name: "sign-anew-after-reconnect",
    breaks: "no-conflicting-signature",
    edits: [
      {
        file: REESTABLISH,
        old: `    for (const update of record.pending.localSigned) draft.send(messageOf(record, update));
    sendCommitmentSigned(draft);`,
        new: `    if (record.pending.localSigned.every(({ type }) => type === "push")) {
      draft.changePending({ localSigned: [] });
    }
    for (const update of draft.record.pending.localSigned) draft.send(messageOf(record, update));
    sendCommitmentSigned(draft);`,
      },
      {
        file: SIGNER,
        old: "number >= newest && same,",
        new: "number >= newest || same,",
      },
    ],
    seeds: 12,
    first: 10,
    needs: ["linkCuts"],
  },
  {
    name: "reestablish-one-too-many",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: REESTABLISH,
        old: "nextCommitmentNumber: record.localNumber + 1,",
        new: "nextCommitmentNumber: record.localNumber + 2,",
      },
    ],
    seeds: 8,
  },
  {
    name: "reestablish-one-too-few",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: REESTABLISH,
        old: "nextRevocationNumber: record.remoteNumber,",
        new: "nextRevocationNumber: Math.max(0, record.remoteNumber - 1),",
      },
    ],
    seeds: 8,
  },
  {
    name: "revocation-not-sent-again",
    breaks: "liveness",
    edits: [
      {
        file: REESTABLISH,
        old: `if (needsRevocation && record.lastSent === "revoke_and_ack") revocation();`,
        new: "",
      },
    ],
    seeds: 16,
    first: 4,
  },
  {
    name: "sent-again-in-the-wrong-order",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: REESTABLISH,
        old: `if (needsRevocation && record.lastSent === "commitment_signed") revocation();`,
        new: `if (needsRevocation && record.lastSent === "revoke_and_ack") revocation();`,
      },
      {
        file: REESTABLISH,
        old: `  }
  if (needsRevocation && record.lastSent === "revoke_and_ack") revocation();`,
        new: `  }
  if (needsRevocation && record.lastSent === "commitment_signed") revocation();`,
      },
    ],
    seeds: 40,
    first: 4,
  },
  {
    name: "messages-of-a-lost-link",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: RUNNER,
        old: "    this.queue = withoutLink(this.queue);\n    this.linksLost++;",
        new: "    this.linksLost++;",
      },
    ],
    seeds: 40,
    first: 31,
    needs: ["slowStores"],
  },
  {
    name: "halted-channel-stays-halted",
    breaks: "liveness",
    edits: [
      {
        file: "core/node/reloading.ts",
        old: "if (this.waiting.size > 0 && !this.busy) void this.reload();",
        new: "",
      },
    ],
    seeds: 12,
    needs: ["refusals"],
  },
  {
    name: "record-drops-a-preimage",
    breaks: "record comes back from its bytes",
    edits: [
      {
        file: "core/channel/codec.ts",
        old: "  firstRemoteNumber: optional(u48),\n  preimage: optional(preimageField),",
        new: "  firstRemoteNumber: optional(u48),",
      },
    ],
    seeds: 8,
    needs: ["htlcs"],
  },
  {
    name: "numbers-fall",
    breaks: "commitment numbers only rise",
    edits: [
      {
        file: "core/channel/proposals.ts",
        old: "  draft.session = nextSession(draft.session, connected);",
        new: `  const { nextLocalPushId } = draft.record;
  draft.change({ nextLocalPushId: Math.max(0, nextLocalPushId - 1) });
  draft.session = nextSession(draft.session, connected);`,
      },
    ],
    seeds: 8,
  },
  {
    name: "one-key-for-two-channels",
    breaks: "key-index-once",
    edits: [
      {
        file: "core/node/key-index.ts",
        old: "return this.nextIndex++;",
        new: "return this.nextIndex;",
      },
      {
        file: "core/node/key-index.ts",
        old: "if (!this.range) this.nextIndex = Math.max(this.nextIndex, index + 1);",
        new: "",
      },
    ],
    seeds: 12,
  },
  {
    name: "revocation-not-verified",
    breaks: "per-commitment-secret",
    edits: [
      {
        file: COMMITMENTS,
        old: "equal(crypto.publicKeyOf(secretKey(perCommitmentSecret)), record.remotePoint),",
        new: "perCommitmentSecret.length === 32,",
      },
    ],
    seeds: 60,
    first: 5,
    needs: ["lies"],
  },
];
