/** Methods of an update: begun or gone on with, chunk by chunk, and finished by a restart (docs/ADMIN.md "Update images"). */
import type { PlainObject } from "../../core/messages/admin-values.ts";
import {
  DIGEST_BYTES,
  MAX_MANIFEST_BYTES,
  MAX_UPDATE_BYTES,
  UPDATE_CHUNK_BYTES,
} from "../../core/messages/update-image.ts";
import type { Method } from "./admin-server.ts";
import type { Administered } from "./administered.ts";

const SIGNATURE = { min: 64, max: 64 };
const INDICES = { min: 0, max: MAX_UPDATE_BYTES / UPDATE_CHUNK_BYTES };

export function updateMethods(of: Administered): readonly (readonly [string, Method])[] {
  const { updates, board, image } = of;
  return [
    [
      "update.begin",
      {
        run: ({ params }) => {
          const manifest = params.bytes("manifest", { min: 1, max: MAX_MANIFEST_BYTES });
          const signature = params.bytes("signature", SIGNATURE);
          params.end();
          return { ...updates.begin(manifest, signature) };
        },
      },
    ],
    [
      "update.chunk",
      {
        run: ({ params }) => {
          const index = params.integer("index", INDICES);
          const next = params.bytes("next", { min: DIGEST_BYTES, max: DIGEST_BYTES });
          const bytes = params.bytes("bytes", { min: 1, max: UPDATE_CHUNK_BYTES });
          params.end();
          return { ...updates.chunk(index, next, bytes) };
        },
      },
    ],
    [
      "update.finish",
      {
        run: ({ params }) => {
          params.end();
          const progress = updates.finish();
          of.restartSoon(`into image ${progress.number}`);
          return { ...progress };
        },
      },
    ],
    [
      "update.status",
      {
        run: ({ params }): PlainObject => {
          params.end();
          const running = {
            version: image.version,
            number: image.number,
            confirmed: board.update?.confirmed ?? true,
          };
          const { progress } = updates;
          return { running, receiving: progress && { ...progress }, complete: updates.isReady };
        },
      },
    ],
    [
      "update.abort",
      {
        run: ({ params }) => {
          params.end();
          updates.abort();
          return { ok: true };
        },
      },
    ],
  ];
}
