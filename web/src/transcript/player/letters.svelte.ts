/** Whether keys of one letter do something. */

const CHOICE = "parley.letterKeys";

class LetterKeys {
  areOn = $state(localStorage.getItem(CHOICE) !== "off");

  turn(areOn: boolean): void {
    localStorage.setItem(CHOICE, areOn ? "on" : "off");
    this.areOn = areOn;
  }
}

export const letterKeys = new LetterKeys();
