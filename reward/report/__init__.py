"""The report: one HTML file for people who look at clips, with everything in it and nothing fetched.

    report.write("report.html", clips, reward(clips), reward)

It is what it is made from: the same clips and scores give the same file, byte for byte.
"""

from cinereward.report.page import Report, render, write

__all__ = ["Report", "render", "write"]
