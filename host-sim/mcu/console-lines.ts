/** What an emulated microcontroller writes for people: the lines of text between its frames, as a terminal would show them. */

const MAX_LINE_BYTES = 300;
const NEWLINE = 10;

export class ConsoleLines {
  private text = "";

  constructor(private readonly onLine: (line: string) => void) {}

  push(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === NEWLINE && this.text.length > 1) {
        if (/^[\x20-\x7e\r]+$/.test(this.text)) this.onLine(this.text.trim());
        this.text = "";
      } else if (byte === 0) this.text = "";
      else if (this.text.length < MAX_LINE_BYTES) this.text += String.fromCharCode(byte);
    }
  }
}
