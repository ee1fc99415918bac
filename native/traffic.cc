// see traffic_addon.cc
