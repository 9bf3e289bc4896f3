/** What mcconfig makes of a manifest's config for a board, and does not for a command-line target: the module mc/config of `host`. */
// biome-ignore-all lint/style/noDefaultExport: the SDK's mc/config has one.
const config = Object.freeze(
  {
    image: { version: "0.1.0", number: 1, network: "regtest", releaseKey: "" },
    board: {
      model: "host",
      baud: 115200,
      pins: ["button", "led", "sensor", "motor1", "motor2", "relay", "meter"],
    },
  },
  true,
);

export { config as default };
