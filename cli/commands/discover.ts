/** `picobolt discover`: gateways, towers and nodes that announce themselves on this network (mDNS). */
import { LanDiscovery } from "../../gateway/discovery/lan.ts";
import { type Command, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";

const USUAL_SECONDS = 2;
const MOST_SECONDS = 600;
const ASK_EVERY_MS = 500;

export const discover: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--seconds <number>", `how long to look (default: ${USUAL_SECONDS})`)
      .option("--interface <address>", "this machine's address on the network to look at");
  },
  examples: ["picobolt discover", "picobolt discover --interface 127.0.0.1 --seconds 1 --json"],
  run: async ({ out, signal, atEnd }, _args, options) => {
    const seconds = Number(text(options, "seconds") ?? USUAL_SECONDS);
    if (!(seconds > 0 && seconds <= MOST_SECONDS)) {
      throw new Failure(`--seconds takes a number up to ${MOST_SECONDS}`, EXIT.usage);
    }
    const place = text(options, "interface");
    let problem: string | undefined;
    const discovery = new LanDiscovery({
      ...(place !== undefined && { interface: place }),
      onProblem: (said) => {
        problem = said;
      },
    });
    atEnd(() => discovery.close());
    discovery.look((node) => {
      const { nodeId: node_id, name, network, roles, host, port } = node;
      const line = `${roles.join(", ")} "${name}" on ${network}: ${node_id}@${host}:${port}`;
      out.line(line, { node_id, name, network, roles, host, port });
    });
    const until = Date.now() + seconds * 1000;
    while (Date.now() < until && !signal.aborted && problem === undefined) {
      await new Promise((wake) => setTimeout(wake, Math.min(ASK_EVERY_MS, until - Date.now())));
      discovery.askAgain();
    }
    if (problem !== undefined) throw new Failure(problem, EXIT.failed);
    const count = discovery.nodes.length;
    if (count === 0)
      out.text("nobody announces itself here; a gateway behind a router does not either");
    out.result({ found: count });
  },
};
