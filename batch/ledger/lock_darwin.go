package ledger

const ofdSetLock = 90 // F_OFD_SETLK of <sys/fcntl.h>, which package unix lacks

func mounted(string) bool { return false } // only Linux mounts single files
