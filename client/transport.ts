/** HTTP or HTTPS to one gateway; its own certificate authority may be given, which `fetch` cannot be told of in Node 20. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { GatewayUnreachable } from "./errors.ts";

export interface TransportOptions {
  /** Such as https://127.0.0.1:9737. */
  readonly url: string;
  /** As in the gateway's *.macaroon files. */
  readonly macaroon: string;
  /** PEM of the authority that signed the gateway's certificate: its ca.pem. */
  readonly ca?: string;
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** Without a word for so long it is given up. */
  readonly silenceMs: number;
}

export class Transport {
  private readonly base: URL;

  constructor(private readonly options: TransportOptions) {
    this.base = new URL(options.url);
    if (!["http:", "https:"].includes(this.base.protocol)) {
      throw new TypeError(
        `${options.url} is no URL of a gateway: it begins with https:// or http://`,
      );
    }
  }

  /** Once its head is there. @throws GatewayUnreachable */
  open(request: HttpRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = this.begin(request);
      sent.once("response", resolve);
      sent.once("error", (cause) => reject(this.unreachable(cause)));
      sent.setTimeout(request.silenceMs, () => sent.destroy(new Error("it says nothing")));
      sent.end(request.body);
    });
  }

  /** @throws GatewayUnreachable */
  async text(request: HttpRequest): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.open(request);
    try {
      let text = "";
      response.setEncoding("utf8");
      for await (const part of response) text += part;
      return { status: response.statusCode ?? 0, text };
    } catch (cause) {
      throw this.unreachable(cause as Error);
    }
  }

  private begin({ method, path, headers, body, signal }: HttpRequest): ClientRequest {
    const { macaroon, ca } = this.options;
    const isTls = this.base.protocol === "https:";
    const send = isTls ? httpsRequest : httpRequest;
    return send(new URL(path, this.base), {
      method,
      headers: {
        authorization: `Macaroon ${macaroon.trim()}`,
        ...(body !== undefined && {
          "content-type": "application/json",
          "content-length": String(Buffer.byteLength(body)),
        }),
        ...headers,
      },
      ...(signal && { signal }),
      ...(isTls && ca !== undefined && { ca }),
    });
  }

  private unreachable(cause: Error): GatewayUnreachable {
    const { code, message } = cause as NodeJS.ErrnoException;
    const place = this.base.origin;
    if (code === "ECONNREFUSED") {
      return new GatewayUnreachable(`no gateway listens at ${place}: is it running?`, { cause });
    }
    const isTls = code !== undefined && /CERT|SIGNATURE|SELF_SIGNED|ALTNAME/.test(code);
    const advice = isTls
      ? "; give the gateway's ca.pem, and a name that is in its certificate"
      : "";
    return new GatewayUnreachable(
      `the gateway at ${place} cannot be reached: ${message}${advice}`,
      {
        cause,
      },
    );
  }
}
