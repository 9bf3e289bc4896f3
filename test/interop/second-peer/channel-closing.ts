/** The mutual close of one channel (BOLT 2 "Channel Close"), as closer and as closee. */
import type { Transaction } from "bitcoinjs-lib";
import { type Bytes, same } from "./bytes.ts";
import type { ChannelOptions } from "./channel.ts";
import { buildClosing, type ClosingTerms, closeesShape, closersShapes, SHAPES } from "./closing.ts";
import { type Balances, other, type Role } from "./commitment.ts";
import { sign, verify } from "./curve.ts";
import type { Message } from "./messages.ts";
import { must } from "./must.ts";
import { fundingWitness } from "./signing.ts";

export class ChannelClosing {
  /** The scripts that both sides sent. */
  readonly shutdown: { [role in Role]?: Bytes } = {};
  /** Closing transactions with both signatures. */
  readonly transactions: Transaction[] = [];
  /** Undefined: closes only as closee. */
  feeSatoshis: number | undefined = 500;
  locktime = 0;
  private asked: Bytes | undefined;
  private balances: Balances | undefined;
  private proposed: ClosingTerms | undefined;
  private hasProposed = false;

  constructor(
    private readonly options: ChannelOptions,
    private readonly send: (message: Message) => void,
  ) {}

  private get us(): Role {
    return this.options.us;
  }

  private get them(): Role {
    return other(this.us);
  }

  ask(): void {
    this.asked ??= this.options.upfrontScripts[this.us];
  }

  /** Sends shutdown where it is due and was not sent; the caller knows that nothing is proposed. */
  shutDownIfAsked(): void {
    if (!this.asked || this.shutdown[this.us]) return;
    this.shutdown[this.us] = this.asked;
    this.send({ type: "shutdown", scriptpubkey: this.asked });
  }

  /** Proposes a closing transaction once after both shutdowns; the channel is empty and quiet. */
  closeIfAgreed(balances: Balances): void {
    if (!this.shutdown.opener || !this.shutdown.acceptor) return;
    this.balances = balances;
    const ours = this.us === "opener" ? balances.openerMsat : balances.acceptorMsat;
    const canPay = this.feeSatoshis !== undefined && ours >= 1000 * this.feeSatoshis;
    if (this.hasProposed || this.feeSatoshis === undefined || !canPay) return;
    this.hasProposed = true;
    this.propose(this.feeSatoshis);
  }

  propose(feeSatoshis: number): void {
    const terms = this.termsOf(this.us, feeSatoshis, this.locktime);
    const fields = Object.fromEntries(
      closersShapes(terms).map((shape) => {
        const { sighash } = buildClosing(this.options.terms, terms, shape);
        return [shape, sign(sighash, this.options.secrets.secrets.funding)];
      }),
    );
    this.proposed = terms;
    this.send({ type: "closing_complete", ...wireTerms(terms), ...noSignatures(), ...fields });
  }

  handle(message: Message): void {
    if (message.type === "shutdown") this.onShutdown(message);
    else if (message.type === "closing_complete") this.onComplete(message);
    else if (message.type === "closing_sig") this.onSig(message);
    else throw new Error(`an unexpected ${message.type}`);
  }

  disconnected(): void {
    this.proposed = undefined;
    this.hasProposed = false;
    this.asked ??= this.shutdown[this.us];
    delete this.shutdown.opener;
    delete this.shutdown.acceptor;
  }

  private onShutdown(message: Message): void {
    const script = message.scriptpubkey as Bytes;
    const upfront = this.options.upfrontScripts[this.them];
    must(upfront.length === 0 || same(upfront, script), "another script than the upfront one");
    must(!this.shutdown[this.them], "a second shutdown");
    this.shutdown[this.them] = script;
    this.ask();
  }

  private onComplete(message: Message): void {
    const terms = this.termsOf(this.them, Number(message.feeSatoshis), Number(message.locktime));
    must(same(terms.closerScript, message.closerScriptpubkey as Bytes), "the closer's script");
    must(same(terms.closeeScript, message.closeeScriptpubkey as Bytes), "the closee's script");
    must(terms.feeSatoshis * 1000 <= terms.closerMsat, "a fee above the balance");
    const signed = SHAPES.filter((shape) => message[shape] !== null);
    must(signed.join() === closersShapes(terms).join(), `shapes ${signed.join()}`);
    const shape = closeesShape(terms, signed);
    const { transaction, fundingScript, sighash } = buildClosing(this.options.terms, terms, shape);
    for (const one of signed) {
      const built = buildClosing(this.options.terms, terms, one);
      this.verify(message[one] as Bytes, built.sighash);
    }
    const ours = sign(sighash, this.options.secrets.secrets.funding);
    this.finish(transaction, fundingScript, ours, message[shape] as Bytes);
    const signature = { ...noSignatures(), [shape]: ours };
    this.send({ type: "closing_sig", ...wireTerms(terms), ...signature });
  }

  private onSig(message: Message): void {
    const terms = this.proposed;
    must(terms !== undefined, "closing_sig that nobody awaits");
    const sent = wireTerms(terms);
    for (const [name, value] of Object.entries(sent)) {
      const theirs = message[name];
      const isSame = value instanceof Uint8Array ? same(value, theirs as Bytes) : value === theirs;
      must(isSame, `closing_sig.${name}`);
    }
    const [shape, ...more] = SHAPES.filter((one) => message[one] !== null);
    must(shape !== undefined && more.length === 0, "closing_sig without exactly one signature");
    must(closersShapes(terms).includes(shape), `a signature for ${shape}`);
    const { transaction, fundingScript, sighash } = buildClosing(this.options.terms, terms, shape);
    const theirs = message[shape] as Bytes;
    this.verify(theirs, sighash);
    const ours = sign(sighash, this.options.secrets.secrets.funding);
    this.finish(transaction, fundingScript, ours, theirs);
    this.proposed = undefined;
  }

  private verify(signature: Bytes, sighash: Bytes): void {
    const { funding } = this.options.terms[this.them].points;
    must(verify(signature, sighash, funding), "a closing signature");
  }

  private finish(transaction: Transaction, script: Bytes, ours: Bytes, theirs: Bytes): void {
    const signatures = { [this.us]: ours, [this.them]: theirs } as Record<Role, Bytes>;
    transaction.setWitness(0, fundingWitness(this.options.terms, script, signatures));
    this.transactions.push(transaction);
  }

  private termsOf(closer: Role, feeSatoshis: number, locktime: number): ClosingTerms {
    const { balances, shutdown } = this;
    const closee = other(closer);
    const [closerScript, closeeScript] = [shutdown[closer], shutdown[closee]];
    must(closerScript !== undefined && closeeScript !== undefined, "closing before shutdown");
    must(balances !== undefined, "closing while something is pending");
    const msat = { opener: balances.openerMsat, acceptor: balances.acceptorMsat };
    const amounts = { closerMsat: msat[closer], closeeMsat: msat[closee] };
    return { ...amounts, closerScript, closeeScript, feeSatoshis, locktime };
  }
}

function wireTerms(terms: ClosingTerms) {
  return {
    closerScriptpubkey: terms.closerScript,
    closeeScriptpubkey: terms.closeeScript,
    feeSatoshis: terms.feeSatoshis,
    locktime: terms.locktime,
  };
}

function noSignatures() {
  return { closerOutputOnly: null, closeeOutputOnly: null, closerAndCloseeOutputs: null };
}
