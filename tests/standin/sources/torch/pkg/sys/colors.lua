return { none = "", red = "\27[31m", green = "\27[32m", blue = "\27[34m" }
