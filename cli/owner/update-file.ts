/** Update files: made and signed with the release key, and checked as a device checks them. */

import {
  chunkDigest,
  decodeManifest,
  isSignedBy,
  parseUpdate,
  type UpdateManifest,
} from "../../core/messages/update-image.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { equal } from "../../core/primitives/bytes.ts";

/** Why a device would refuse it; without `releaseKey` the signature is not checked. */
export function updateProblem(
  crypto: Crypto,
  file: Uint8Array,
  releaseKey: Uint8Array | undefined,
): string | undefined {
  const { manifest, signature, chunks, chunk } = parseUpdate(file);
  let expected = decodeManifest(manifest).firstDigest;
  for (let index = 0; index < chunks; index++) {
    const { next, bytes } = chunk(index);
    if (!equal(chunkDigest(crypto, index, next, bytes), expected)) {
      return `chunk ${index} of ${chunks} is damaged`;
    }
    expected = next;
  }
  if (releaseKey === undefined || isSignedBy(crypto, manifest, { signature, releaseKey })) {
    return undefined;
  }
  return "it is not signed by this release key";
}

export function manifestOf(file: Uint8Array): UpdateManifest {
  return decodeManifest(parseUpdate(file).manifest);
}
