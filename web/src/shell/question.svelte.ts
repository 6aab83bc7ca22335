/** A question before something that cannot be undone: `if (await ask({...})) ...` */

export type Question = { title: string; text?: string; yes: string; isDangerous?: boolean };

class Questions {
  current = $state.raw<(Question & { answer: (yes: boolean) => void }) | null>(null);

  ask(question: Question): Promise<boolean> {
    this.current?.answer(false);
    return new Promise((resolve) => {
      const answer = (yes: boolean) => {
        this.current = null;
        resolve(yes);
      };
      this.current = { ...question, answer };
    });
  }
}

export const questions = new Questions();
export const ask = (question: Question): Promise<boolean> => questions.ask(question);
