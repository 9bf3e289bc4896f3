/** Checksums of descriptors are those of BIP 380 and of Bitcoin Core. */
import { expect, it } from "vitest";
import { descriptorChecksum, withChecksum } from "../../core/keys/descriptor.ts";

it.each([
  ["raw(deadbeef)", "89f8spxm"],
  [
    "wsh(multi(2,tpubD6NzVbkrYhZ4YfG9CySHqKHFbaLcD7hSDyqRUtCmMKNim5fkiJtTnFeqKsRHMHSK5ddFrhqRr3Ghv1JtuWkBzikuBqKu1xCpjQ9YxoPGgqU/0/*,tpubD6NzVbkrYhZ4WpudNKLizFbGzpsG3jkLF7mc8Vfh1fTDbbBPjDP29My6TaLncaS8VeDPcaNMdUkybucr8Kz9CHSdAtvxnaXyBxPRocefdXN/0/*))",
    "5wstxmwd",
  ],
])("of %s is %s", (descriptor, checksum) => {
  expect(descriptorChecksum(descriptor)).toBe(checksum);
  expect(withChecksum(descriptor)).toBe(`${descriptor}#${checksum}`);
});

it("changes with any character", () => {
  expect(descriptorChecksum("raw(deadbeee)")).not.toBe("89f8spxm");
  expect(descriptorChecksum("raw(DEADBEEF)")).not.toBe("89f8spxm");
});

it("refuses characters that descriptors do not have", () => {
  expect(() => descriptorChecksum("raw(ü)")).toThrow(/BIP 380/);
});
