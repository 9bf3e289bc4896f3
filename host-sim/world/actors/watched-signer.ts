/** A signer that tells what it gave away: signatures on commitments, and secrets of revoked ones. */
import type { ChannelSigner, NodeSigner } from "../../../core/ports/signer.ts";

export interface SignerWatch {
  /** A funding signature on our own commitment, for broadcast. */
  localSigned(keyIndex: number, number: number): void;
  remoteSigned(keyIndex: number, number: number, sighash: Uint8Array): void;
  /** The secret of our commitment left the signer. */
  revoked(keyIndex: number, number: number): void;
}

export function watchedSigner(inner: NodeSigner, watch: SignerWatch): NodeSigner {
  return {
    nodeId: inner.nodeId,
    ecdh: (point) => inner.ecdh(point),
    sign: (hash) => inner.sign(hash),
    channel: (keyIndex) => watchedChannel(inner.channel(keyIndex), keyIndex, watch),
  };
}

function watchedChannel(inner: ChannelSigner, keyIndex: number, watch: SignerWatch): ChannelSigner {
  return {
    basepoints: inner.basepoints,
    coldPayout: inner.coldPayout,
    perCommitmentPoint: (number) => inner.perCommitmentPoint(number),
    stored: (progress) => inner.stored(progress),
    revokeLocal: (number) => {
      const secret = inner.revokeLocal(number);
      watch.revoked(keyIndex, number);
      return secret;
    },
    signRemoteCommitment: (number, sighash) => {
      const signature = inner.signRemoteCommitment(number, sighash);
      watch.remoteSigned(keyIndex, number, sighash);
      return signature;
    },
    signRemoteHtlc: (point, sighash) => inner.signRemoteHtlc(point, sighash),
    signLocalCommitment: (number, sighash) => {
      const signature = inner.signLocalCommitment(number, sighash);
      watch.localSigned(keyIndex, number);
      return signature;
    },
    signClosing: (sighash) => inner.signClosing(sighash),
    signAnnouncement: (statement) => inner.signAnnouncement(statement),
    signClaim: (key, sighash) => inner.signClaim(key, sighash),
    claimPublicKey: (key) => inner.claimPublicKey(key),
  };
}
