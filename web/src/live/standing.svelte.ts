/** Whether this tab records, for all screens: it goes on while another one is shown. */

class Standing {
  isRecording = $state(false);
}

export const standing = new Standing();
