/** Reads the transactions of a serialised block (BIP 144), finding the few that matter without building the others. */
import { createHash } from "node:crypto";
import { outpointKey } from "../../../core/transactions/transaction.ts";

/** One transaction where it stands in the block's bytes; nothing is copied. */
export interface BlockTransaction {
  /** With witness. */
  readonly raw: Uint8Array;
  readonly txid: Uint8Array;
  /** `txid (as in transactions, hexadecimal):vout` of each spent output. */
  readonly spends: readonly string[];
  /** Output scripts, hexadecimal. */
  readonly scripts: readonly string[];
}

export interface ScannedBlock {
  readonly header: Uint8Array;
  readonly transactions: readonly BlockTransaction[];
}

/** Throws RangeError where the bytes end too early or go on after the last transaction. */
export function scanBlock(block: Uint8Array): ScannedBlock {
  const reader = new Reader(block, 80);
  const count = reader.size();
  const transactions: BlockTransaction[] = [];
  for (let i = 0; i < count; i++) transactions.push(readTransaction(reader));
  if (reader.at !== block.length) throw new RangeError("bytes follow after the block's end");
  return { header: block.subarray(0, 80), transactions };
}

export function scanTransaction(raw: Uint8Array): BlockTransaction {
  return readTransaction(new Reader(raw, 0));
}

function readTransaction(reader: Reader): BlockTransaction {
  const start = reader.at;
  reader.skip(4);
  const segwit = reader.peek(0) === 0 && reader.peek(1) === 1;
  if (segwit) reader.skip(2);
  const bodyStart = reader.at;
  const spends: string[] = [];
  const inputs = reader.size();
  for (let i = 0; i < inputs; i++) {
    const txid = reader.take(32);
    spends.push(outpointKey({ txid, vout: reader.uint32() }));
    reader.skip(reader.size() + 4);
  }
  const scripts: string[] = [];
  const outputs = reader.size();
  for (let i = 0; i < outputs; i++) {
    reader.skip(8);
    scripts.push(Buffer.from(reader.take(reader.size())).toString("hex"));
  }
  const bodyEnd = reader.at;
  if (segwit) {
    for (let i = 0; i < inputs; i++) {
      for (let items = reader.size(); items > 0; items--) reader.skip(reader.size());
    }
  }
  reader.skip(4);
  const raw = reader.from(start);
  const first = createHash("sha256")
    .update(raw.subarray(0, 4))
    .update(raw.subarray(bodyStart - start, bodyEnd - start))
    .update(raw.subarray(raw.length - 4))
    .digest();
  const txid = new Uint8Array(createHash("sha256").update(first).digest());
  return { raw, txid, spends, scripts };
}

class Reader {
  constructor(
    private readonly source: Uint8Array,
    public at: number,
  ) {}

  from(start: number): Uint8Array {
    return this.source.subarray(start, this.at);
  }

  peek(ahead: number): number | undefined {
    return this.source[this.at + ahead];
  }

  skip(length: number): void {
    if (length > this.source.length - this.at) throw new RangeError("the bytes end too early");
    this.at += length;
  }

  take(length: number): Uint8Array {
    this.skip(length);
    return this.source.subarray(this.at - length, this.at);
  }

  uint32(): number {
    const [a, b, c, d] = this.take(4) as unknown as [number, number, number, number];
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  /** A CompactSize. */
  size(): number {
    const first = this.take(1)[0] as number;
    if (first < 0xfd) return first;
    if (first === 0xfd) {
      const [a, b] = this.take(2) as unknown as [number, number];
      return a | (b << 8);
    }
    if (first === 0xfe) return this.uint32();
    throw new RangeError("a count beyond 32 bits");
  }
}
