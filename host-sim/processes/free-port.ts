/** A port of loopback for a program that cannot choose one: none of those that the kernel gives to whoever asks for any. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below what Linux gives by itself (ip_local_port_range): between our look and the program's nobody is given it. */
const FROM = 12_000;
const BELOW = 32_000;
const ATTEMPTS = 100;

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(FROM, BELOW);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FROM} to ${BELOW} is free on 127.0.0.1`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((tell) => {
    const server = createServer();
    server.once("error", () => tell(false));
    server.listen(port, "127.0.0.1", () => server.close(() => tell(true)));
  });
}
