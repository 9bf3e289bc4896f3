/** A real mosquitto on files that somebody else wrote, on a port that it has: another program may take it before mosquitto does. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { freePort } from "../../../host-sim/processes/free-port.ts";
import { PATIENCE_MS } from "../../support/patience.ts";

const PORT_ATTEMPTS = 3;
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

/** `write` gives the path of mosquitto.conf; it is asked again where another port is needed. */
export async function startWritten(write: (port: number) => string): Promise<ChildProcess> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const config = write(port);
    const own = `${config}.own`;
    rmSync(own, { force: true });
    // Run by root it would become another user, who cannot read this folder.
    const user = process.getuid?.() === 0 ? "user root\n" : "";
    appendFileSync(own, `${readFileSync(config, "utf8")}${user}`);
    const child = spawn("mosquitto", ["-c", own], { env, stdio: "ignore" });
    if (await listens(child, port)) return child;
    child.kill("SIGKILL");
    if (attempt === PORT_ATTEMPTS) throw new Error("mosquitto does not take what was written");
  }
}

async function listens(child: ChildProcess, port: number): Promise<boolean> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    if (child.exitCode !== null) return false;
    // Once more: whoever answers may be another, which has the port.
    if (await answers(port)) return child.exitCode === null;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return false;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
